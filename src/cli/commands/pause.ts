import type { RunCommand } from "../options/description.ts";

export const run: RunCommand = (context, args, operations) => {
  operations.pause(context, args.positional(0));
  return 0;
};
