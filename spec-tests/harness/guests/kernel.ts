import type { ChildProcess } from "node:child_process";
import { join } from "node:path";

/** A way to boot a guest on this host's root file system. */
export interface GuestKernel {
  readonly name: string;
  /** Why it can't be booted here, or undefined. */
  readonly missing: string | undefined;
  /** Whether pid 1 of the guest is systemd; otherwise it is init.sh. */
  readonly systemd: boolean;
  /**
   * Starts it with the terminal of loop.sh as standard input and output, and writes its console to `consoleFile`. The kernel is first,
   * what serves it follows.
   */
  start(exchange: string): readonly [ChildProcess, ...ChildProcess[]];
}

/** What the kernel and init.sh have printed, in the folder of a guest. */
export function consoleFile(exchange: string): string {
  return join(exchange, "console");
}
