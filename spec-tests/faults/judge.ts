import type { Fault, Operation, Result } from "./host.ts";

interface InjectedError {
  readonly errno: number;
  readonly name: string;
  readonly words: RegExp;
  readonly means?: RegExp;
}

/**
 * What the kernel calls the errors that are injected: a number, a name, and words. `means`: what the runtime may take it for,
 * since that is what the kernel says by it. ENOENT is not among them: it is an answer and no failure, by which files of a
 * container that is there are none.
 */
export const ERRORS: readonly InjectedError[] = [
  { errno: 5, name: "EIO", words: /input\/output error/ },
  { errno: 12, name: "ENOMEM", words: /cannot allocate memory|out of memory/ },
  // proc(5), hidepid: a process that is not the caller's to see. Where a right is missing, it is named.
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
  // socket(7), SO_RCVTIMEO: nobody has answered in time.
  {
    errno: 11,
    name: "EAGAIN",
    words: /resource temporarily unavailable/,
    means: / within \d+ s|ETIMEDOUT|timed out/,
  },
  { errno: 24, name: "EMFILE", words: /too many open files/ },
  { errno: 28, name: "ENOSPC", words: /no space left/ },
];

/** System calls that go by the name of an older one in errors, or by what a file operation does as a whole. */
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

/** What is wrong with the result of a command that has failed, if anything: it has to be one clear line. */
export function complaint(
  result: Result,
  fault: Fault,
  operation: Operation,
  failureCode: number,
): string | undefined {
  const { code, stderr } = result;
  if (code === 124) return "it hangs";
  // The process that exec has made, or run's container, was killed; and so the command says.
  if (code === 137 && fault.mode === "kill-stub") return undefined;
  if (code !== failureCode) return `exit code ${code}`;
  const lines = stderr
    .split("\n")
    .filter((line) => line !== "" && !/^time="[^"]*" level=warning /.test(line));
  const [line = ""] = lines;
  if (lines.length !== 1 || !line.startsWith("runts: ")) return "not one line of runts";
  if (/internal error|undefined|\[object /.test(line)) return "no error for people";
  if (fault.mode === "stall" && !/ within \d+ s/.test(line)) return "it does not say what it waited for";
  if (fault.mode !== "fail") return undefined;
  // Init is alone when it waits for `start`: there is nobody to tell but the one who does not find it then.
  if (["accept4", "dup3"].includes(operation.call) && /that has stopped|ECONNRESET/.test(line))
    return undefined;
  return wordsMissing(line, fault, operation);
}

function wordsMissing(line: string, { errno }: Fault, operation: Operation): string | undefined {
  // A null pointer says nothing of the reason.
  const error = operation.call === "seccomp_init" ? undefined : ERRORS.find((entry) => entry.errno === errno);
  const isMeant = error?.means?.test(line) === true;
  if (error !== undefined && !isMeant && !line.includes(error.name) && !error.words.test(line))
    return `no ${error.name} in it`;
  const { side, call, path } = operation;
  // The runtime's own errors say it in their own words: its purposes are there for the report.
  const { purpose, pointer } = side === "stub" ? operation : { purpose: "", pointer: "" };
  // A hook is a process as the container's is; only its errors are told as its own.
  if (pointer !== "" && !line.includes(pointer) && !line.includes("/hooks/")) return `no ${pointer} in it`;
  const names = [call, ...(ALIASES[call] ?? []), purpose, path].filter((name) => name !== "");
  // In words, where a file's content is what matters: `cannot kill cgroup /box`.
  return isMeant || names.some((name) => line.includes(name)) || /: cannot \w+ /.test(line)
    ? undefined
    : `it does not name ${call}`;
}
