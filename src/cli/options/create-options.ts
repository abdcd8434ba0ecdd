import { absolutePath } from "../../../bindings/linux/paths.ts";
import type { CreateOptions, RecordOptions } from "../../container/context.ts";
import type { OptionValues } from "./option.ts";
import type { createOptions, profileOptions, recordOptions } from "./shared-options.ts";
import { UsageError } from "./usage-error.ts";

type Values = OptionValues<typeof createOptions>;

/** Path of the config that a container is created from. */
export function configPath({ bundle, configFile }: CreateOptions): string {
  return configFile ?? `${bundle}/config.json`;
}

/** The options that `create`, `run` and `explain` share. Makes paths absolute before anything changes directory. */
export function createOptionsFrom(
  id: string,
  options: Omit<Values, "pidfd-socket" | "preserve-fds" | keyof typeof profileOptions> & Partial<Values>,
): CreateOptions {
  const { "pid-file": pidFile, "console-socket": consoleSocket, "pidfd-socket": pidfdSocket } = options;
  return {
    id,
    bundle: absolutePath(options.bundle ?? "."),
    ...(pidFile !== undefined && { pidFile: absolutePath(pidFile) }),
    ...(consoleSocket !== undefined && { consoleSocket: absolutePath(consoleSocket) }),
    ...(pidfdSocket !== undefined && { pidfdSocket: absolutePath(pidfdSocket) }),
    ...(options.config !== undefined && { configFile: absolutePath(options.config) }),
    noPivot: options["no-pivot"],
    noNewKeyring: options["no-new-keyring"],
    preserveFds: options["preserve-fds"] ?? 0,
  };
}

/** What is to be recorded; undefined for nothing. */
export function recordOptionsFrom(
  command: string,
  options: OptionValues<typeof recordOptions>,
): RecordOptions | undefined {
  const { "seccomp-record": file, "seccomp-merge": merge, "seccomp-record-by": by } = options;
  if (file === undefined) {
    const given = merge ? "--seccomp-merge" : "--seccomp-record-by";
    if (merge || by !== undefined) throw new UsageError(`${given} needs --seccomp-record`, command);
    return undefined;
  }
  if (by !== undefined && by !== "bpf" && by !== "notify")
    throw new UsageError(`--seccomp-record-by ${JSON.stringify(by)}: must be bpf or notify`, command);
  return { file: absolutePath(file), merge, ...(by !== undefined && { by }) };
}
