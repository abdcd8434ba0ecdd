import type { Fault, Operation, Result } from "./host.ts";

interface InjectedError {
  readonly errno: number;
  readonly name: string;
  readonly words: RegExp;
  readonly means?: RegExp;
}

/**
 * The injected errors: number, name and text. `means` matches messages that report the usual meaning of the error instead. ENOENT is
 * left out: it is a valid answer, which tells the runtime that a container's file does not exist.
 */
export const ERRORS: readonly InjectedError[] = [
  { errno: 5, name: "EIO", words: /input\/output error/ },
  { errno: 12, name: "ENOMEM", words: /cannot allocate memory|out of memory/ },
  // proc(5), hidepid: EPERM for a process that the caller may not see. If a capability is missing, the error names it.
  {
    errno: 1,
    name: "EPERM",
    words: /operation not permitted/,
    means: /not running|has stopped|stopped container|lacks CAP_/,
  },
  { errno: 30, name: "EROFS", words: /read-only file system/ },
  { errno: 22, name: "EINVAL", words: /invalid argument/ },
  { errno: 38, name: "ENOSYS", words: /function not implemented/ },
  { errno: 16, name: "EBUSY", words: /resource busy/ },
  // socket(7), SO_RCVTIMEO: no answer in time.
  {
    errno: 11,
    name: "EAGAIN",
    words: /resource temporarily unavailable/,
    means: / within \d+ s|ETIMEDOUT|timed out/,
  },
  { errno: 24, name: "EMFILE", words: /too many open files/ },
  { errno: 28, name: "ENOSPC", words: /no space left/ },
];

/** Other names of a system call in errors: an older call's, or that of the whole file operation. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  openat: ["open"],
  openat2: ["open"],
  unlinkat: ["unlink", "rmdir", "rm"],
  mkdirat: ["mkdir", "create"],
  fchmodat: ["chmod"],
  fchownat: ["chown"],
  faccessat: ["access"],
  readlinkat: ["readlink"],
  renameat2: ["rename"],
  statx: ["stat", "lstat", "fstat"],
  getdents64: ["scandir", "readdir"],
  pread64: ["read"],
  pwrite64: ["write"],
  bpf: ["the device program"],
  mount_setattr: ["with id mappings"],
};

/** Judges the result of a failed command, which has to be a single line with the cause. Returns the defect, if any. */
export function complaint(
  result: Result,
  fault: Fault,
  operation: Operation,
  failureCode: number,
): string | undefined {
  const { code, stderr } = result;
  if (code === 124) return "it hangs";
  // The process of exec, or run's container, was killed, and the command passes on its exit code.
  if (code === 137 && fault.mode === "kill-stub") return undefined;
  if (code !== failureCode) return `exit code ${code}`;
  const lines = stderr
    .split("\n")
    .filter((line) => line !== "" && !/^time="[^"]*" level=warning /.test(line));
  const [line = ""] = lines;
  if (lines.length !== 1 || !line.startsWith("runts: ")) return "not a single line that starts with runts:";
  if (/internal error|undefined|\[object /.test(line)) return "an internal error, not one for users";
  if (fault.mode === "stall" && !/ within \d+ s/.test(line))
    return "the error does not say how long it waited";
  if (fault.mode !== "fail") return undefined;
  // While init waits for `start`, no process of the runtime is there to report its failure: start only finds init gone.
  if (["accept4", "dup3"].includes(operation.call) && /that has stopped|ECONNRESET/.test(line))
    return undefined;
  return wordsMissing(line, fault, operation);
}

function wordsMissing(line: string, { errno }: Fault, operation: Operation): string | undefined {
  // seccomp_init(3) returns a null pointer without a reason.
  const error = operation.call === "seccomp_init" ? undefined : ERRORS.find((entry) => entry.errno === errno);
  const isMeant = error?.means?.test(line) === true;
  if (error !== undefined && !isMeant && !line.includes(error.name) && !error.words.test(line))
    return `the error does not name ${error.name}`;
  const { side, call, path } = operation;
  // Errors from the runtime's side have their own wordings: their purposes are only for the report.
  const { purpose, pointer } = side === "stub" ? operation : { purpose: "", pointer: "" };
  // A hook's process is set up by the same operations as the container's, but its errors have the hook's pointer.
  if (pointer !== "" && !line.includes(pointer) && !line.includes("/hooks/"))
    return `the error does not name ${pointer}`;
  const names = [call, ...(ALIASES[call] ?? []), purpose, path].filter((name) => name !== "");
  // An error may name the action instead of the call: `cannot kill cgroup /box`.
  return isMeant || names.some((name) => line.includes(name)) || /: cannot \w+ /.test(line)
    ? undefined
    : `the error does not name ${call}`;
}
