import { TCGETS } from "../../bindings/abi/ioctl.ts";
import { termios } from "../../bindings/abi/layouts.ts";
import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { writeFileSync } from "../../bindings/linux/files.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { writeStandardError } from "../log.ts";
import { Profile } from "../profile/profile.ts";

/** Runs a command and writes where its time went, whatever comes of it; on a terminal also a summary. */
export async function profiled(
  command: string,
  file: string,
  action: () => Promise<number>,
): Promise<number> {
  const path = absolutePath(file);
  // A file that can't be written is an error before there is a container.
  writeFileSync(path, "");
  const profile = new Profile(path, command);
  try {
    return await action();
  } finally {
    const summary = profile.finish();
    if (isTerminal(2)) writeStandardError(summary);
  }
}

/** isatty(3), whose engine's own takes several milliseconds to load. */
function isTerminal(fd: number): boolean {
  return trySyscall("ioctl", fd, TCGETS, new Uint8Array(termios.size)) === 0;
}
