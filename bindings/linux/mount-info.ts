import { readFileSync } from "./files.ts";

/** One mount, by the fields of proc_pid_mountinfo(5). */
export interface MountInfo {
  readonly id: number;
  /** ID of the mount that it is mounted on. */
  readonly parent: number;
  /** The directory of the file system that is mounted. */
  readonly root: string;
  readonly point: string;
  /** Options of the mount: `ro`, `nosuid`, … */
  readonly options: readonly string[];
  /** The optional fields: `shared:7`, `master:3`, `unbindable`, … */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Options of the file system: `ro`, `size=…`. */
  readonly superOptions: readonly string[];
}

/** The mounts that a process sees, in the order of the file: a mount comes before those on it. */
export function mountsOf(process: number | "self"): MountInfo[] {
  return parseMountInfo(readFileSync(`/proc/${process}/mountinfo`, "utf8"));
}

export function parseMountInfo(text: string): MountInfo[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(parseLine);
}

function parseLine(line: string): MountInfo {
  // Any number of optional fields precede the dash.
  const [left = "", right = ""] = line.split(" - ");
  const [id, parent, , root = "", point = "", options = "", ...propagation] = left.split(" ");
  const [type = "", source = "", superOptions = ""] = right.split(" ");
  return {
    id: Number(id),
    parent: Number(parent),
    root: unescapeOctal(root),
    point: unescapeOctal(point),
    options: options.split(","),
    propagation,
    type: unescapeOctal(type),
    source: unescapeOctal(source),
    superOptions: superOptions.split(","),
  };
}

/** The kernel escapes space, tab, newline and backslash as three octal digits. */
function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** ID of the mount that an open file of a process is on. proc_pid_fdinfo(5) */
export function mountIdOf(process: number | "self", fd: number): number {
  return Number(/^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/${process}/fdinfo/${fd}`, "latin1"))?.[1]);
}
