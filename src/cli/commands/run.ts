import type { RunOptions } from "../../container/context.ts";
import { prepareStateRoot } from "../../container/record/state-root.ts";
import { runContainer } from "../../container/run.ts";
import { defineCommand } from "../command.ts";
import { configPath, createOptionsFrom, recordOptionsFrom } from "../options/create-options.ts";
import type { OptionTable, OptionValues } from "../options/option.ts";
import {
  createOptions,
  detachOption,
  noSubreaperOption,
  oneContainer,
  recordDescription,
  recordOptions,
} from "../options/shared-options.ts";
import { UsageError } from "../options/usage-error.ts";
import { withProfile } from "../with-profile.ts";

const options = {
  ...createOptions,
  detach: detachOption,
  keep: { type: "boolean", description: "do not delete the container after its process has exited" },
  "seccomp-trace": {
    type: "boolean",
    description: "report the system calls that the seccomp profile denied, after the process has exited",
  },
  ...recordOptions,
  "no-subreaper": noSubreaperOption,
} as const satisfies OptionTable;

export const runCommand = defineCommand({
  name: "run",
  summary: "create and start a container, and wait for it",
  positionals: oneContainer,
  options,
  description: [
    "Creates and starts a container, forwards signals and the terminal to it, waits for it to exit and deletes it. With --detach it returns " +
      "as soon as the process executes.",
    recordDescription,
  ],
  examples: [
    ["runts run box", "the bundle in the current directory"],
    ["runts run --seccomp-trace box", "and report what its seccomp profile denied, with a rule to add"],
    [
      "runts run --seccomp-record web.json web",
      "and write a profile that allows the system calls which the container has made",
    ],
    ["runts run --bundle /srv/web --detach --pid-file /run/web.pid web", "in the background"],
  ],
  exitStatus: [
    ["N", "exit code of the container's process"],
    ["1", "the container was not created or not started"],
  ],
  run(context, args) {
    const given = runOptionsFrom(args.positionals[0], args.options);
    prepareStateRoot(context);
    return withProfile(
      { command: "run", container: given.id, config: () => configPath(given) },
      args.options,
      () => runContainer(context, given),
    );
  },
});

export function runOptionsFrom(id: string, values: OptionValues<typeof options>): RunOptions {
  const seccompTrace = values["seccomp-trace"];
  if (seccompTrace && values.detach)
    throw new UsageError("--seccomp-trace can't be used with --detach", "run");
  const seccompRecord = recordOptionsFrom("run", values);
  if (seccompTrace && seccompRecord !== undefined)
    throw new UsageError("--seccomp-trace can't be used with --seccomp-record", "run");
  return {
    ...createOptionsFrom(id, values),
    detach: values.detach,
    keep: values.keep,
    noSubreaper: values["no-subreaper"],
    ...(seccompTrace && { seccompTrace }),
    ...(seccompRecord !== undefined && { seccompRecord }),
  };
}
