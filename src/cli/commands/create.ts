import { prepareStateRoot } from "../../container/record/state-root.ts";
import { createOptionsFrom } from "../options/create-options.ts";
import type { RunCommand } from "../options/description.ts";
import { profiled } from "./profiled.ts";

export const run: RunCommand = (context, args, operations) => {
  const options = createOptionsFrom(args);
  prepareStateRoot(context);
  const create = () => {
    operations.create(context, options);
    return 0;
  };
  const profile = args.string("profile");
  if (profile === undefined) return create();
  return profiled("create", profile, create);
};
