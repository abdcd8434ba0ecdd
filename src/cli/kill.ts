import type { RunCommand } from "./description.ts";

export const run: RunCommand = async (context, args, operations) => {
  const signal = args.positionals[1] ?? "SIGTERM";
  const kill = (id: string) => operations.kill(context, id, signal, { all: args.flag("all") });
  if (args.flag("regex")) {
    const { forEachMatch } = await import("./matching-containers.ts");
    return forEachMatch(context, operations, args.positional(0), kill);
  }
  await kill(args.positional(0));
  return 0;
};
