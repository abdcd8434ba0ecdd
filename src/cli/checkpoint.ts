import { checkpointOptionsFrom } from "./criu-options.ts";
import type { RunCommand } from "./description.ts";

export const run: RunCommand = async (context, args, operations) => {
  await operations.checkpoint(context, checkpointOptionsFrom(args));
  return 0;
};
