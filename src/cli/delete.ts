import type { RunCommand } from "./description.ts";

export const run: RunCommand = async (context, args, operations) => {
  await operations.delete(context, args.positional(0), { force: args.flag("force") });
  return 0;
};
