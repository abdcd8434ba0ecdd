import { statSync } from "../../../bindings/linux/file-status.ts";
import { readlinkSync } from "../../../bindings/linux/files.ts";
import { type MountInfo, mountIdOf } from "../../../bindings/linux/mount-info.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { readRegularFile } from "../../spec/regular-file.ts";
import type { SavedState } from "../record/saved-state.ts";

/** Names of the standard streams of a checkpointed container, in the image directory: runc's file. */
export const DESCRIPTORS_FILE = "descriptors.json";

/**
 * The standard streams of a container that lead to the host. Their names are in the image directory, a list in runc's form; at a
 * restore the runtime's own streams take their places.
 */
export interface StandardStreams {
  readonly names: readonly string[];
  /** Streams that have to be named to criu. It recognizes pipes of other processes itself. criu(8), --external */
  readonly external: readonly string[];
}

/** `mounts` are the container's. Throws if a stream is a terminal of the caller, unless that is allowed. */
export function standardStreams(
  { pid, pipes = [] }: SavedState,
  mounts: readonly MountInfo[],
  allowTerminal: boolean,
): StandardStreams {
  const own = new Set(mounts.map(({ id }) => id));
  const external = new Set<string>();
  const names = [0, 1, 2].map((fd) => {
    const outside = isOpen(pid, fd) ? outsideName(pid, fd, own) : undefined;
    if (outside === undefined) return pipes[fd] || linkOf(pid, fd);
    if (outside.startsWith("tty[") && !allowTerminal) throw terminalRefusal(fd);
    external.add(outside);
    return outside;
  });
  return { names, external: [...external] };
}

function terminalRefusal(fd: number): RuntsError {
  return new RuntsError(`standard stream ${fd} is a terminal of the caller: --shell-job allows it`, {
    operation: "checkpoint",
    path: `fd ${fd}`,
  });
}

/** Returns criu's name of a file or a terminal that is on none of the container's mounts; undefined for any other stream. */
function outsideName(pid: number, fd: number, own: ReadonlySet<number>): string | undefined {
  const mount = mountIdOf(pid, fd);
  if (own.has(mount)) return undefined;
  const status = statSync(`/proc/${pid}/fd/${fd}`);
  const hex = (number: number) => number.toString(16);
  if (status.isFile()) return `file[${hex(mount)}:${hex(status.ino)}]`;
  return status.isCharacterDevice() && isPseudoTerminal(status.rdev)
    ? `tty[${hex(status.rdev)}:${hex(status.dev)}]`
    : undefined;
}

/** Majors 136 to 143: Documentation/admin-guide/devices.txt. */
function isPseudoTerminal(rdev: number): boolean {
  const major = (rdev >> 8) & 0xfff;
  return major >= 136 && major <= 143;
}

function isOpen(pid: number, fd: number): boolean {
  return linkOf(pid, fd) !== "";
}

/** Returns an empty name for a closed stream. */
function linkOf(pid: number, fd: number): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return "";
  }
}

/** Reads the names that `checkpoint` has written beside its images. */
export function readStreamNames(imagePath: string): string[] {
  const path = `${imagePath}/${DESCRIPTORS_FILE}`;
  const text = onBehalfOf("", `read ${path}, which a checkpoint has beside its images`, () =>
    readRegularFile(path).toString("utf8"),
  );
  const names = parseNames(text);
  if (names !== undefined) return names;
  throw new RuntsError(`${path} is damaged: it is not a list of names`, { operation: "restore", path });
}

function parseNames(text: string): string[] | undefined {
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) && names.every((name) => typeof name === "string") ? names : undefined;
  } catch {
    return undefined;
  }
}

/** Saved streams that the runtime's own replace at a restore. Each name is listed once, as two streams may be one. */
export function inheritedStreams(
  names: readonly string[],
): { readonly key: string; readonly stream: number }[] {
  return names
    .slice(0, 3)
    .map((key, stream) => ({ key, stream }))
    .filter(({ key, stream }) => /^(pipe:|file|tty)\[/.test(key) && names.indexOf(key) === stream);
}
