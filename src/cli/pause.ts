import type { RunCommand } from "./description.ts";

export const run: RunCommand = async (context, args, operations) => {
  await operations.pause(context, args.positional(0));
  return 0;
};
