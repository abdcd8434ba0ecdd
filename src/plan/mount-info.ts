/** One mount, of proc_pid_mountinfo(5). */
export interface MountInfo {
  readonly id: number;
  /** Directory of the file system that is mounted. */
  readonly root: string;
  readonly point: string;
  readonly type: string;
}

/** The mounts in the order of the file: an outer one before those on it. */
export function parseMountInfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = [];
  for (const line of text.split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    const fields = left.split(" ");
    if (fields.length < 6) continue;
    mounts.push({
      id: Number(fields[0]),
      root: unescapeOctal(fields[3] ?? ""),
      point: unescapeOctal(fields[4] ?? ""),
      type: right.split(" ")[0] ?? "",
    });
  }
  return mounts;
}

/** A path as proc_pid_mountinfo(5) writes it. */
export function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
