/** A mount of a process's mount table. */
export interface MountEntry {
  readonly mountPoint: string;
  /** The mount's own: `ro`, `nosuid`, … */
  readonly options: readonly string[];
  readonly type: string;
  /** Those of the file system: `ro`, `size=…`. */
  readonly superOptions: readonly string[];
}

/** proc_pid_mountinfo(5), in the order of the file: of several mounts on one place, the last is the one that is seen. */
export function parseMountTable(mountinfo: string): MountEntry[] {
  return mountinfo
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      // Optional fields of any number stand before the dash.
      const [before = "", after = ""] = line.split(" - ");
      const fields = before.split(" ");
      const [type = "", , superOptions = ""] = after.split(" ");
      return {
        mountPoint: decodeOctal(fields[4] ?? ""),
        options: (fields[5] ?? "").split(","),
        type,
        superOptions: superOptions.split(","),
      };
    });
}

/** Space, tab, newline and backslash are three octal digits. */
function decodeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** The mount that is seen at a path, undefined if none begins there. */
export function mountAt(table: readonly MountEntry[], path: string): MountEntry | undefined {
  return table.findLast(({ mountPoint }) => mountPoint === path);
}

export function isReadOnly({ options, superOptions }: MountEntry): boolean {
  return options.includes("ro") || superOptions.includes("ro");
}
