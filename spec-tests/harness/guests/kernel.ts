import type { ChildProcess } from "node:child_process";

/** A way to boot a guest on this host's root file system. */
export interface GuestKernel {
  readonly name: string;
  /** Why it can't be booted here, or undefined. */
  readonly missing: string | undefined;
  /** Whether pid 1 of the guest is systemd; otherwise it is init.sh. */
  readonly systemd: boolean;
  /** Starts it with its console as standard input and output; the kernel is first, what serves it follows. */
  start(exchange: string): readonly [ChildProcess, ...ChildProcess[]];
}
