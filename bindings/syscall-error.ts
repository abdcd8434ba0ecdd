/**
 * A system call or libc function that failed. `call` is its name as in the manual, `errno` the symbolic name of the error (`ENOENT`), and
 * `args` the decoded arguments that help a reader, in the order of the call.
 */
export class SyscallError extends Error {
  readonly call: string;
  readonly errno: string;
  readonly args: readonly string[];

  constructor(call: string, errno: string, args: readonly string[] = []) {
    super(`${call}${args.length === 0 ? "" : ` ${args.join(" ")}`}: ${errno}`);
    this.name = "SyscallError";
    this.call = call;
    this.errno = errno;
    this.args = args;
  }
}
