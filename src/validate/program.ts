import { closeSync, openSync, readSync } from "node:fs";
import { byteText, fromByteText } from "../../bindings/abi/byte-text.ts";
import type { ContainerView, Seen } from "../inspect/container-view.ts";
import {
  executableFormat,
  FORMAT_LENGTH,
  hostMachine,
  interpreterRange,
  isProgram,
} from "../plan/process/executable-format.ts";

type Program = Extract<Seen, { is: "there" }>;

/** Another file that the kernel opens to execute a program: an interpreter or a loader. */
interface NeededFile {
  readonly path: string;
  readonly what: string;
}

/** The reason, other than its mode, why the kernel would refuse to execute a file of the container; undefined for none. */
export function programProblem(program: Program, view: ContainerView): string | undefined {
  if (!program.status.isFile()) return `${program.path} is not a file`;
  const format = readFormat(program);
  if (format === undefined || typeof format === "string") return format;
  const { path, what } = format;
  return path !== "" && view.look(path).is === "missing"
    ? `${path}, ${what}, is not in the container`
    : undefined;
}

/** The interpreter or loader of a program, if it has one and the container has that. */
export function interpreterOf(program: Program, view: ContainerView): Program | undefined {
  const format = readFormat(program);
  const seen = typeof format === "object" && format.path !== "" ? view.look(format.path) : undefined;
  return seen?.is === "there" ? seen : undefined;
}

/** The file that a program needs, or the problem of one that can't be executed; undefined for neither. */
function readFormat({ host, path }: Program): NeededFile | string | undefined {
  let fd: number;
  try {
    fd = openSync(host, "r");
  } catch {
    return undefined; // This user may not read it; the container's may.
  }
  try {
    return judgeFormat(fd, path);
  } finally {
    closeSync(fd);
  }
}

function judgeFormat(fd: number, path: string): NeededFile | string | undefined {
  const format = executableFormat(read(fd, 0, FORMAT_LENGTH));
  if (format.kind === "unknown") return `${path} is neither an ELF program nor a script that begins with #!`;
  if (format.kind === "script")
    return { path: fromByteText(format.interpreter), what: `the interpreter of ${path}` };
  const { header } = format;
  if (!isProgram(header)) return `${path} is an ELF file, but no program`;
  const machine = hostMachine(process.arch);
  // The kernel may know an emulator for it (binfmt_misc): create finds out.
  if (!machine.runs.includes(header.machine)) return undefined;
  const { offset, entry, length } = header.segments;
  const range = interpreterRange(header, read(fd, offset, Math.min(length, 64 * Math.max(entry, 1))));
  if (range === undefined) return undefined;
  const loader = byteText(read(fd, range.offset, Math.min(range.length, 4096)));
  return { path: fromByteText(loader.split("\0")[0] ?? ""), what: `the loader that ${path} needs` };
}

function read(fd: number, offset: number, length: number): Uint8Array {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, readSync(fd, buffer, 0, length, offset));
}
