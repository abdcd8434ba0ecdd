import type { RunCommand } from "../options/description.ts";
import { forEachMatch } from "./matching-containers.ts";

export const run: RunCommand = (context, args, operations) => {
  const signal = args.positionals[1] ?? "SIGTERM";
  const kill = (id: string) => operations.kill(context, id, signal, { all: args.flag("all") });
  if (args.flag("regex")) return forEachMatch(context, operations, args.positional(0), kill);
  kill(args.positional(0));
  return 0;
};
