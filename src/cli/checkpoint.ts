import { checkpointOptionsFrom } from "./criu-options.ts";
import type { RunCommand } from "./description.ts";

export const run: RunCommand = (context, args, operations) => {
  operations.checkpoint(context, checkpointOptionsFrom(args));
  return 0;
};
