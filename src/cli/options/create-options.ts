import { absolutePath } from "../../../bindings/linux/paths.ts";
import type { CreateOptions } from "../../container/context.ts";
import type { ParsedArguments } from "./arguments.ts";

/** The options that `create` and `run` share. Paths become absolute here, before anything changes directory. */
export function createOptionsFrom(args: ParsedArguments, id: string = args.positional(0)): CreateOptions {
  const pidFile = args.string("pid-file");
  const consoleSocket = args.string("console-socket");
  const pidfdSocket = args.string("pidfd-socket");
  const configFile = args.string("config");
  return {
    id,
    bundle: absolutePath(args.string("bundle") ?? "."),
    ...(pidFile !== undefined && { pidFile: absolutePath(pidFile) }),
    ...(consoleSocket !== undefined && { consoleSocket: absolutePath(consoleSocket) }),
    ...(pidfdSocket !== undefined && { pidfdSocket: absolutePath(pidfdSocket) }),
    ...(configFile !== undefined && { configFile: absolutePath(configFile) }),
    noPivot: args.flag("no-pivot"),
    noNewKeyring: args.flag("no-new-keyring"),
    preserveFds: args.number("preserve-fds"),
  };
}
