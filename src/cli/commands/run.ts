import { prepareStateRoot } from "../../container/record/state-root.ts";
import { createOptionsFrom } from "../options/create-options.ts";
import type { RunCommand } from "../options/description.ts";
import { UsageError } from "../options/usage-error.ts";
import { profiled } from "./profiled.ts";

export const run: RunCommand = (context, args, operations) => {
  const seccompTrace = args.flag("seccomp-trace");
  if (seccompTrace && args.flag("detach"))
    throw new UsageError("--seccomp-trace is for a container in the foreground, without --detach", "run");
  const options = createOptionsFrom(args);
  prepareStateRoot(context);
  const start = () =>
    operations.run(context, {
      ...options,
      detach: args.flag("detach"),
      keep: args.flag("keep"),
      noSubreaper: args.flag("no-subreaper"),
      ...(seccompTrace && { seccompTrace }),
    });
  const profile = args.string("profile");
  if (profile === undefined) return start();
  return profiled("run", profile, start);
};
