import { byteText, fromByteText, toByteText } from "../../bindings/abi/byte-text.ts";
import { S_IFDIR, S_IFREG } from "../../bindings/abi/fcntl.ts";
import { PATH_MAX } from "../../bindings/abi/limits.ts";
import { printableJson } from "../../bindings/abi/printable.ts";
import type { MountInfo } from "../../bindings/linux/mount-info.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import { type RuntsError, reworded } from "../errors.ts";
import { candidatePaths, searchPath } from "../plan/process/executable.ts";
import {
  type ElfHeader,
  executableFormat,
  FORMAT_LENGTH,
  hostMachine,
  interpreterRange,
  isProgram,
  machineName,
} from "../plan/process/executable-format.ts";
import type { Process } from "../spec/types.ts";
import { type ContainerFile, ContainerFiles, type Destination } from "./container-file.ts";

/** A process that could not execute its program, and still takes orders. */
export interface FailedExec {
  readonly channel: StubChannel;
  readonly process: Process;
  /** The mounts that it sees. */
  readonly mounts: () => readonly MountInfo[];
}

/** How long looking for the reason may take in all: the container's author decides how much there is to look at. */
const TIME_LIMIT_MS = 2000;

/** The sources that tell the reason. */
interface Witness extends Pick<FailedExec, "process" | "mounts"> {
  readonly files: ContainerFiles;
}

/** The kernel's limit of nested scripts, whose interpreters are scripts. */
const MAX_INTERPRETERS = 5;
/** Longer program header tables are no compiler's. */
const MAX_TABLE = 64 * 1024;

/** Adds to the error of a failed execve what the kernel and the engines' words don't say: which file is not as it has to be, and why. */
export function explainExecFailure(
  error: RuntsError,
  { channel, process, mounts: readMounts }: FailedExec,
): RuntsError {
  const files = new ContainerFiles(channel, performance.now() + TIME_LIMIT_MS);
  let known: readonly MountInfo[] | undefined;
  const mounts = () => {
    known ??= readMounts();
    return known;
  };
  let hint: string | undefined;
  try {
    hint = explain(error.errno ?? "", error.path ?? "", { files, process, mounts });
  } catch {
    // A filter or a limit of the container kept it from looking, or the time is over: what is known is the error.
  }
  if (hint === undefined || changesMeaning(hint)) return error;
  return reworded(error, `${error.message} (${hint})`);
}

/**
 * Engines take the kind of a failure from words anywhere in the text, podman `permission denied` before all others: the names of
 * files, which the hint repeats, must not bring one in.
 */
const ENGINE_WORDS =
  /permission denied|operation not permitted|executable file not found|no such file or directory|open executable|(?:not|is) a directory|cannot find|no such process|does not exist|not running|already finished/i;

function changesMeaning(hint: string): boolean {
  return ENGINE_WORDS.test(hint);
}

function explain(errno: string, path: string, witness: Witness): string | undefined {
  if (!path.includes("/")) return explainSearch(path, witness);
  const clause = describePath(toByteText(path), errno, witness, 0);
  return clause === undefined ? undefined : `it ${clause}`;
}

function explainSearch(name: string, witness: Witness): string {
  const { process, files } = witness;
  const path = searchPath(process.env ?? []);
  const given = path.given
    ? `PATH is ${quote(path.value)}`
    : `env has no PATH, so it is ${quote(path.value)}`;
  const unfit = candidatePaths(name, process.env ?? []).flatMap((candidate) => {
    const destination = files.follow(toByteText(candidate));
    if (destination.kind === "missing") return [];
    return [`${quote(candidate)} ${describeFile(destination, witness) ?? "can't be executed"}`];
  });
  return [given, ...unfit].join("; ");
}

/** Says what is wrong with a file, as the rest of a sentence about it; undefined if nothing is found. The path is byte text. */
function describePath(path: string, errno: string, witness: Witness, depth: number): string | undefined {
  const destination = witness.files.follow(path);
  const obstacle = describeFile(destination, witness);
  if (obstacle !== undefined || destination.kind !== "file") return obstacle;
  return describeContent(destination.file, errno, witness, depth);
}

function describeFile(destination: Destination, witness: Witness): string | undefined {
  if (destination.kind === "missing")
    return `is missing: the container has no ${quotePath(destination.path)}`;
  const { file } = destination;
  // Not "not a directory", which is one of ENGINE_WORDS.
  if (destination.kind === "closed" && file.type !== S_IFDIR)
    return `lies below ${quotePath(file.path)}, which is no directory`;
  if (destination.kind === "closed")
    return `lies below ${quotePath(file.path)}, which ${rights(file, witness)}`;
  if (file.type === S_IFDIR) return "names a directory";
  if (file.type !== S_IFREG) return "is not a regular file";
  if (file.accessible) return undefined;
  const mountPoint = noexecMount(file, witness);
  if (mountPoint !== undefined) return `lies on ${quote(mountPoint)}, which is mounted with noexec`;
  return rights(file, witness);
}

function rights({ permissions, uid, gid, type }: ContainerFile, { process }: Witness): string {
  const { uid: user = 0, gid: group = 0, additionalGids = [] } = process.user ?? {};
  const mode = permissions.toString(8).padStart(4, "0");
  const noun = type === S_IFREG ? "execute" : "search";
  const groups = additionalGids.length === 0 ? "" : ` with the groups ${additionalGids.join(",")}`;
  if ((permissions & 0o111) === 0) return `has the mode ${mode}, without x for anybody`;
  return `has the mode ${mode} and the owner ${uid}:${gid}, so that ${user}:${group}${groups} may not ${noun} it`;
}

/** Mount point of the file, if its mount has the option noexec. */
function noexecMount({ mountId }: ContainerFile, { mounts }: Witness): string | undefined {
  const mount = mounts().find(({ id }) => id === mountId);
  return mount?.options.includes("noexec") ? mount.point : undefined;
}

function describeContent(
  file: ContainerFile,
  errno: string,
  witness: Witness,
  depth: number,
): string | undefined {
  if (file.size === 0) return "is empty";
  const begin = witness.files.readPart(file.path, 0, FORMAT_LENGTH);
  if (begin === undefined) return undefined;
  const format = executableFormat(begin);
  if (format.kind === "script") return describeScript(format.interpreter, errno, witness, depth);
  if (format.kind === "elf") return describeElf(file, format.header, errno, witness, depth);
  const shown = quote(byteText(begin.subarray(0, 16)));
  return `begins with ${shown}, so it is neither an ELF executable of this machine nor a script with "#!"`;
}

function describeScript(
  interpreter: string,
  errno: string,
  witness: Witness,
  depth: number,
): string | undefined {
  if (interpreter === "") return 'is a script without an interpreter after "#!"';
  if (depth >= MAX_INTERPRETERS) return "is a script, and the chain of interpreters is too long";
  const clause = describePath(interpreter, errno, witness, depth + 1);
  if (clause === undefined) return undefined;
  const crlf = interpreter.endsWith("\r") ? " (its lines end in CRLF: use LF)" : "";
  return `is a script for ${quotePath(interpreter)}${crlf}, which ${clause}`;
}

function describeElf(
  file: ContainerFile,
  header: ElfHeader,
  errno: string,
  witness: Witness,
  depth: number,
): string | undefined {
  const host = hostMachine(process.arch);
  const machine = machineName(header);
  const native = host.runs.includes(header.machine);
  if (!isProgram(header)) return "is an ELF file, but no executable: an object file or a core dump";
  if (!native && errno === "ENOENT") {
    return `is an ELF executable for ${machine}, and the emulator that binfmt_misc of this ${host.name} machine names for it is missing in the container (register it with the flag F)`;
  }
  if (!native || (errno === "ENOEXEC" && header.machine !== host.runs[0]))
    return `is an ELF executable for ${machine}, and this ${host.name} machine has no emulator for it in binfmt_misc`;
  const interpreter = elfInterpreter(file, header, witness.files);
  if (interpreter === undefined) return depth > 0 ? undefined : damage(file, header);
  if (depth >= MAX_INTERPRETERS) return undefined;
  const clause = describePath(interpreter, errno, witness, depth + 1);
  return (
    clause && `is an ELF executable that needs the interpreter ${quotePath(interpreter)}, which ${clause}`
  );
}

function damage({ size }: ContainerFile, { segments }: ElfHeader): string | undefined {
  if (segments.length === 0) return "is an ELF file without segments";
  return segments.offset + segments.length > size ? "is an ELF executable that is cut short" : undefined;
}

function elfInterpreter(file: ContainerFile, header: ElfHeader, files: ContainerFiles): string | undefined {
  const { offset, length } = header.segments;
  if (length === 0 || length > MAX_TABLE || offset > file.size) return undefined;
  const table = files.readPart(file.path, offset, length);
  const range = table && interpreterRange(header, table);
  if (range === undefined || range.length === 0 || range.length > PATH_MAX || range.offset > file.size)
    return undefined;
  const text = files.readPart(file.path, range.offset, range.length);
  return text && byteText(text).split("\0")[0];
}

function quotePath(path: string): string {
  return quote(fromByteText(path));
}

/** On one line, in bounds: the container's author chose the text. */
function quote(text: string): string {
  const LIMIT = 200;
  const shown = text.length > LIMIT ? `${text.slice(0, LIMIT)}…` : text;
  return printableJson(JSON.stringify(shown));
}
