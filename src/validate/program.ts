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

/** The reason, other than its mode, why the kernel would refuse to execute a file of the container; undefined for none. */
export function programProblem(
  program: Extract<Seen, { is: "there" }>,
  view: ContainerView,
): string | undefined {
  if (!program.status.isFile()) return `${program.path} is not a file`;
  let fd: number;
  try {
    fd = openSync(program.host, "r");
  } catch {
    return undefined; // This user may not read it; the container's may.
  }
  try {
    return formatProblem(fd, program.path, view);
  } finally {
    closeSync(fd);
  }
}

function formatProblem(fd: number, path: string, view: ContainerView): string | undefined {
  const format = executableFormat(read(fd, 0, FORMAT_LENGTH));
  if (format.kind === "unknown") return `${path} is neither an ELF program nor a script that begins with #!`;
  if (format.kind === "script")
    return missing(view, fromByteText(format.interpreter), `the interpreter of ${path}`);
  const { header } = format;
  if (!isProgram(header)) return `${path} is an ELF file, but no program`;
  const host = hostMachine(process.arch);
  // The kernel may know an emulator for it (binfmt_misc): create finds out.
  if (!host.runs.includes(header.machine)) return undefined;
  const { offset, entry, length } = header.segments;
  const range = interpreterRange(header, read(fd, offset, Math.min(length, 64 * Math.max(entry, 1))));
  if (range === undefined) return undefined;
  const loader = byteText(read(fd, range.offset, Math.min(range.length, 4096)));
  return missing(view, fromByteText(loader.split("\0")[0] ?? ""), `the loader that ${path} needs`);
}

function missing(view: ContainerView, path: string, what: string): string | undefined {
  return path !== "" && view.look(path).is === "missing"
    ? `${path}, ${what}, is not in the container`
    : undefined;
}

function read(fd: number, offset: number, length: number): Uint8Array {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, readSync(fd, buffer, 0, length, offset));
}
