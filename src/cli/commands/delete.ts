import type { RunCommand } from "../options/description.ts";
import { forEachMatch } from "./matching-containers.ts";

export const run: RunCommand = (context, args, operations) => {
  const remove = (id: string) => operations.delete(context, id, { force: args.flag("force") });
  if (args.flag("regex")) return forEachMatch(context, operations, args.positional(0), remove);
  remove(args.positional(0));
  return 0;
};
