import type { CgroupMode, NetworkLock } from "../../criu/messages.ts";

/** Options that `checkpoint` and `restore` share. Paths are absolute. */
export interface CriuChoices {
  readonly imagePath: string;
  /** The directory that criu works in and logs to; the image path if absent. */
  readonly workPath?: string;
  readonly tcpEstablished: boolean;
  readonly extUnixSk: boolean;
  readonly shellJob: boolean;
  readonly fileLocks: boolean;
  readonly lazyPages: boolean;
  readonly autoDedup: boolean;
  readonly cgroupMode: CgroupMode;
  readonly networkLock?: NetworkLock;
}

export interface CheckpointOptions extends CriuChoices {
  readonly id: string;
  /** Images of an earlier dump, relative to the image path. */
  readonly parentPath?: string;
  readonly leaveRunning: boolean;
  readonly preDump: boolean;
  readonly tcpSkipInFlight: boolean;
  readonly linkRemap: boolean;
  readonly pageServer?: { readonly address: string; readonly port: number };
  /** Descriptor that gets a NUL byte when lazy pages can be fetched. */
  readonly statusFd?: number;
}

export interface RestoreOptions extends CriuChoices {
  readonly id: string;
  readonly bundle: string;
  readonly tcpClose: boolean;
  readonly consoleSocket?: string;
  readonly pidFile?: string;
  readonly detach: boolean;
  readonly noSubreaper: boolean;
  readonly lsmProfile?: string;
  readonly lsmMountContext?: string;
}
