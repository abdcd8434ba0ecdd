import { checkpointOptionsFrom } from "../options/criu.ts";
import type { RunCommand } from "../options/description.ts";

export const run: RunCommand = (context, args, operations) => {
  operations.checkpoint(context, checkpointOptionsFrom(args));
  return 0;
};
