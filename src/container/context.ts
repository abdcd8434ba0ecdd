import type { Log } from "../log.ts";
import type { StandardStreams } from "../plan/process/stdio.ts";
import type { Config } from "../spec/types.ts";
import type { Caller } from "./caller/caller.ts";
import type { EventSource } from "./stdio/foreground.ts";

/** The global options, which hold for every operation. */
export interface GlobalOptions {
  /** Absolute path of the directory that holds one folder per container. */
  readonly root: string;
  /** Whether the caller has named the root, by --root. */
  readonly hasNamedRoot?: boolean;
  /** Whether missing permission on cgroups is tolerated; `auto` decides by user and user namespace. */
  readonly rootless: "true" | "false" | "auto";
  /** Whether containers are made without a cgroup of their own, since the caller wants none. */
  readonly noCgroup?: boolean;
  /** Whether systemd makes the cgroups. */
  readonly systemdCgroup?: boolean;
  readonly log: Log;
  /** Annotations that may name files and sockets of the host; none when absent. See src/spec/annotations.ts. */
  readonly allowedAnnotations?: readonly string[];
  /** Absolute path of criu, or its name in PATH; "criu" when absent. */
  readonly criu?: string;
  /** False if compiled seccomp filters are neither looked for nor kept: `explain` makes nothing. */
  readonly keepFilters?: boolean;
}

export interface CreateOptions {
  readonly id: string;
  /** Absolute, never empty. */
  readonly bundle: string;
  readonly pidFile?: string;
  readonly consoleSocket?: string;
  /** Path of a socket that gets a pidfd of init. */
  readonly pidfdSocket?: string;
  /** Absolute path of another config than that of the bundle. */
  readonly configFile?: string;
  /** The config itself, in place of a file. */
  readonly configText?: Uint8Array;
  /** Descriptors that the container gets as its standard streams; without them, the caller's own. */
  readonly stdio?: StandardStreams;
  /** Whether `root.path` is an empty directory that is made in the container's directory, and goes with it. */
  readonly makesRootfs?: boolean;
  /** Whether pid 1 is an init of runts, which reaps, passes signals on, and is killed when the runtime ends. The container needs a pid namespace. */
  readonly underInit?: boolean;
  readonly noPivot: boolean;
  readonly noNewKeyring: boolean;
  /** Number of descriptors, from 3 on, that reach the container. */
  readonly preserveFds: number;
  /** Changes the config that the container is made with. The original config is saved all the same. */
  readonly changeConfig?: (config: Config) => Config;
  /** The rights that count, if not those of the calling process itself. */
  readonly caller?: Caller;
}

/** `--seccomp-record`: where the profile of the container's system calls goes. */
export interface RecordOptions {
  /** Absolute path. */
  readonly file: string;
  /** Whether the calls are added to a profile that is there already. */
  readonly merge: boolean;
  /** How calls are recorded; by BPF if possible when absent. */
  readonly by?: "bpf" | "notify";
}

export interface RunOptions extends CreateOptions {
  /** Report the system calls that the filter denies, at the end. */
  readonly seccompTrace?: boolean;
  readonly seccompRecord?: RecordOptions;
  readonly detach: boolean;
  readonly keep: boolean;
  readonly noSubreaper: boolean;
  /** Makes a further source of events to serve in the foreground, for init of this pid. */
  readonly serve?: (pid: number) => EventSource;
}
