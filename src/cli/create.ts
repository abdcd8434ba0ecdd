import { prepareStateRoot } from "../container/state-root.ts";
import { createOptionsFrom } from "./create-options.ts";
import type { RunCommand } from "./description.ts";

export const run: RunCommand = async (context, args, operations) => {
  const options = createOptionsFrom(args);
  prepareStateRoot(context);
  const create = async () => {
    await operations.create(context, options);
    return 0;
  };
  const profile = args.string("profile");
  if (profile === undefined) return create();
  const { profiled } = await import("./profiled.ts");
  return profiled("create", profile, create);
};
