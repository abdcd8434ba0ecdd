import { unescapeOctal } from "../plan/mount-info.ts";

/** A mount of a container, in the words of config.json where it has them. */
export interface MountEntry {
  readonly id: number;
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  /** The part of the file system that is mounted, if not all of it. */
  readonly root?: string;
  readonly options: readonly string[];
}

/** proc_pid_mountinfo(5) */
export function listedMounts(text: string): MountEntry[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(parseLine);
}

function parseLine(line: string): MountEntry {
  const [left = "", right = ""] = line.split(" - ");
  const [id = "", , , root = "", destination = "", flags = "", ...optional] = left.split(" ");
  const [type = "", source = "", ofFileSystem = ""] = right.split(" ");
  const options = [...flags.split(","), ...ofFileSystem.split(","), ...optional.flatMap(propagation)];
  return {
    id: Number(id),
    destination: unescapeOctal(destination),
    type: unescapeOctal(type),
    source: unescapeOctal(source),
    ...(root !== "/" && { root: unescapeOctal(root) }),
    // Of the two `rw` or `ro`, the mount's own, which stands first, is what counts.
    options: [...new Set(options)].filter((option) => !(flags.startsWith("ro") && option === "rw")),
  };
}

/** Fields such as `shared:7`, `master:3` and `unbindable`. */
function propagation(field: string): string[] {
  if (field.startsWith("shared:")) return ["shared"];
  if (field.startsWith("master:")) return ["slave"];
  return field === "unbindable" ? [field] : [];
}
