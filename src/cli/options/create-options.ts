import { absolutePath } from "../../../bindings/linux/paths.ts";
import type { CreateOptions } from "../../container/context.ts";
import type { OptionValues } from "./option.ts";
import type { createOptions, profileOptions } from "./shared-options.ts";

type Values = OptionValues<typeof createOptions>;

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
