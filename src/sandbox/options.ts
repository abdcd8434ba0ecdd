/** The wishes of whoever starts a sandbox, as the command line and the library take them. */
export interface SandboxOptions {
  /** The program, which is looked up in the sandbox's PATH, and its arguments. */
  readonly args: readonly string[];
  /** Files and directories of the host to show read-only: `PATH`, or `PATH:DESTINATION`. */
  readonly ro?: readonly string[];
  /** Files and directories of the host that the sandbox may change: `PATH`, or `PATH:DESTINATION`. */
  readonly rw?: readonly string[];
  /** Paths that get an empty file system in memory. */
  readonly tmpfs?: readonly string[];
  /** `NAME=value` sets a variable, `NAME` passes the caller's on. */
  readonly env?: readonly string[];
  /** Working directory in the sandbox. If it is absent, it is the caller's, which is shown read-only. */
  readonly cwd?: string;
  /** `none`, the default, leaves a loopback device only; `host` is the host's network. */
  readonly net?: "none" | "host";
  /** Most memory, swap included, in bytes. */
  readonly memory?: number;
  /** Most CPU time: 1.5 is that of one and a half CPUs. */
  readonly cpus?: number;
  /** Most processes and threads. */
  readonly pids?: number;
  /** User and group id in the sandbox. For root it is an id of the host as well; for others it stands for their own. */
  readonly uid?: number;
  readonly hostname?: string;
  /** Repeats the rights of the mounts as Landlock rules, and keeps signals and abstract Unix sockets inside; without a network, no TCP. */
  readonly landlock?: boolean;
}
