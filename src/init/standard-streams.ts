import { F_DUPFD_CLOEXEC } from "../../bindings/abi/fcntl.ts";
import type { Program } from "../../bindings/stub/program.ts";

/** Makes descriptors the standard streams. They may arrive with the numbers 0 to 2 if the caller has closed its own streams, so they are moved first. */
export function takeStreams(program: Program, stdio: readonly number[]): void {
  const ABOVE_STDIO = 3;
  const moved = stdio.map((fd) => {
    const received = program.descriptor(fd);
    const copy = program.call("fcntl", [received, F_DUPFD_CLOEXEC, ABOVE_STDIO]);
    program.do("close", [received]);
    return copy;
  });
  moved.forEach((copy, target) => {
    program.do("dup3", [copy, target, 0]);
    program.do("close", [copy]);
  });
}
