import type { GlobalOptions } from "../container/context.ts";
import { prepareStateRoot, stateRoot } from "../container/record/state-root.ts";
import type { Log } from "../log.ts";

/** What the command line's global options say, for any operation. */
export interface Settings {
  /** Directory of the containers' state: /run/runts when absent, or $XDG_RUNTIME_DIR/runts for who is not root. */
  readonly root?: string;
  /** Let systemd make the cgroups: `cgroupsPath` is slice:prefix:name. */
  readonly systemdCgroup?: boolean;
  /** Called with each warning; without it they are warnings of the process. */
  readonly onWarning?: (message: string) => void;
}

export function contextOf({ root, systemdCgroup, onWarning }: Settings): GlobalOptions {
  return {
    root: stateRoot(root),
    rootless: "auto",
    systemdCgroup: systemdCgroup ?? false,
    log: logTo(onWarning ?? ((message) => process.emitWarning(message, "RuntsWarning"))),
  };
}

/** For an operation that makes something: the directory of the state, too. */
export function preparedContext(settings: Settings): GlobalOptions {
  const context = contextOf(settings);
  prepareStateRoot(context);
  return context;
}

/** A library tells its caller of errors by throwing them. */
function logTo(warn: (message: string) => void): Log {
  const silent = (): void => undefined;
  return { debug: silent, info: silent, warn, error: silent };
}
