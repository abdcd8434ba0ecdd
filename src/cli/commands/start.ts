import type { RunCommand } from "../options/description.ts";

export const run: RunCommand = async (context, args, operations) => {
  await operations.start(context, args.positional(0));
  return 0;
};
