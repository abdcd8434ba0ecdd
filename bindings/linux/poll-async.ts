import { loadLibrary } from "../ffi/koffi.ts";
import { POLLIN } from "./poll.ts";

const POLLOUT = 4;
/** Both, and POLLERR, POLLHUP and POLLNVAL: in each case there is something to find out by reading or writing. */
const READY = 0x3d;

/**
 * Waits, in a thread of the engine's pool, until one of the descriptors can be read, or one of the others be written to; the event loop
 * goes on meanwhile, which signal handlers need. Returns those that can. poll(2)
 */
export function pollReadable(
  readable: readonly number[],
  writable: readonly number[] = [],
): Promise<number[]> {
  const fds = [...readable, ...writable];
  const entries = new Int32Array(2 * fds.length);
  fds.forEach((fd, index) => {
    entries[2 * index] = fd;
    entries[2 * index + 1] = index < readable.length ? POLLIN : POLLOUT;
  });
  const poll = loadLibrary(null).func("int poll(void *fds, unsigned long count, int timeout)");
  return new Promise((resolve) => {
    // An interruption (-1) is answered like a wait without a result: the caller waits again.
    poll.async(new Uint8Array(entries.buffer), fds.length, -1, () => {
      resolve(fds.filter((_, index) => (((entries[2 * index + 1] ?? 0) >>> 16) & READY) !== 0));
    });
  });
}
