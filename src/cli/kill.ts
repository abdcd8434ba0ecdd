import type { RunCommand } from "./description.ts";

export const run: RunCommand = async (context, args, operations) => {
  const signal = args.positionals[1] ?? "SIGTERM";
  await operations.kill(context, args.positional(0), signal, { all: args.flag("all") });
  return 0;
};
