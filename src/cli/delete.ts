import type { RunCommand } from "./description.ts";

export const run: RunCommand = async (context, args, operations) => {
  const remove = (id: string) => operations.delete(context, id, { force: args.flag("force") });
  if (args.flag("regex")) {
    const { forEachMatch } = await import("./matching-containers.ts");
    return forEachMatch(context, operations, args.positional(0), remove);
  }
  await remove(args.positional(0));
  return 0;
};
