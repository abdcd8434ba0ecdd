import type { GlobalOptions } from "../container/context.ts";
import { prepareStateRoot, stateRoot } from "../container/record/state-root.ts";
import type { Log } from "../log.ts";

/** Settings of every operation, like the global options of the command line. */
export interface Settings {
  /** State directory; by default /run/runts, or $XDG_RUNTIME_DIR/runts without root privileges. */
  readonly root?: string;
  /** Has systemd create the cgroups. `cgroupsPath` then is slice:prefix:name. */
  readonly systemdCgroup?: boolean;
  /** Called with each warning. By default, process.emitWarning is called. */
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

/** Like contextOf, and creates the state directory. */
export function preparedContext(settings: Settings): GlobalOptions {
  const context = contextOf(settings);
  prepareStateRoot(context);
  return context;
}

/** A log that only reports warnings: errors are thrown. */
function logTo(warn: (message: string) => void): Log {
  const silent = (): void => undefined;
  return { debug: silent, info: silent, warn, error: silent };
}
