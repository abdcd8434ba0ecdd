import { loadLibrary } from "../ffi/koffi.ts";
import { POLLIN } from "./poll.ts";

/** POLLIN, POLLERR, POLLHUP and POLLNVAL: each means that a read won't block. */
const READY = 0x39;

/**
 * Waits in a thread of the engine's pool until a descriptor is readable or `timeoutMs` milliseconds have passed (-1: no limit); the event loop
 * goes on meanwhile. Resolves with the readable ones. poll(2)
 */
export function pollReadable(fds: readonly number[], timeoutMs = -1): Promise<number[]> {
  const entries = new Int32Array(fds.flatMap((fd) => [fd, POLLIN]));
  const poll = loadLibrary(null).func("int poll(void *fds, unsigned long count, int timeout)");
  return new Promise((resolve) => {
    // After an interruption (result -1) no descriptor is readable, and the caller waits again.
    poll.async(new Uint8Array(entries.buffer), fds.length, timeoutMs, () => {
      resolve(fds.filter((_, index) => (((entries[2 * index + 1] ?? 0) >>> 16) & READY) !== 0));
    });
  });
}
