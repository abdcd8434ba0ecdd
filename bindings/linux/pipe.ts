import { O_CLOEXEC } from "../abi/fcntl.ts";
import { syscall } from "../ffi/syscall.ts";

/** int pipe2(int pipefd[2], int flags), with O_CLOEXEC. The read end comes first. pipe(2) */
export function pipe(): [read: number, write: number] {
  const ends = new Int32Array(2);
  syscall("pipe2", [new Uint8Array(ends.buffer), O_CLOEXEC]);
  return [ends[0] ?? -1, ends[1] ?? -1];
}
