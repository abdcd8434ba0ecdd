import { readFileSync } from "../../bindings/linux/files.ts";
import { RuntsError } from "../errors.ts";

/** Where resctrl is mounted: a host may have it anywhere, /sys/fs/resctrl is the usual place. proc_pid_mountinfo(5) */
export function findResctrl(mountinfo: string = readFileSync("/proc/self/mountinfo", "utf8")): string {
  for (const line of mountinfo.split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    if (!right.startsWith("resctrl ")) continue;
    const point = left.split(" ")[4] ?? "";
    return point.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8)),
    );
  }
  throw new RuntsError("/linux/intelRdt: no resctrl file system is mounted on this host", {
    operation: "create",
    errno: "ENODEV",
    path: "/sys/fs/resctrl",
    pointer: "/linux/intelRdt",
  });
}
