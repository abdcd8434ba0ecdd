import { loadLibrary } from "../ffi/koffi.ts";
import { POLLIN } from "./poll.ts";

/** POLLIN, and POLLERR, POLLHUP and POLLNVAL: in each case there is something to find out by reading. */
const READY = 0x39;

/**
 * Waits, in a thread of the engine's pool, until one of the descriptors can be read, or the time is over; the event loop goes on
 * meanwhile. Returns those that can. poll(2)
 */
export function pollReadable(fds: readonly number[], timeoutMs = -1): Promise<number[]> {
  const entries = new Int32Array(fds.flatMap((fd) => [fd, POLLIN]));
  const poll = loadLibrary(null).func("int poll(void *fds, unsigned long count, int timeout)");
  return new Promise((resolve) => {
    // An interruption (-1) is answered like a wait without a result: the caller waits again.
    poll.async(new Uint8Array(entries.buffer), fds.length, timeoutMs, () => {
      resolve(fds.filter((_, index) => (((entries[2 * index + 1] ?? 0) >>> 16) & READY) !== 0));
    });
  });
}
