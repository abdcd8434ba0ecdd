import { prepareDirectories } from "../container/state-root.ts";
import { createOptionsFrom } from "./create-options.ts";
import type { RunCommand } from "./description.ts";

export const run: RunCommand = (context, args, operations) => {
  const options = createOptionsFrom(args);
  prepareDirectories(context, options.pidFile);
  return operations.run(context, {
    ...options,
    detach: args.flag("detach"),
    keep: args.flag("keep"),
    noSubreaper: args.flag("no-subreaper"),
  });
};
