import { routeChange } from "./rtnetlink.ts";
import type { TracedCall } from "./strace.ts";

/** Calls that change something outside of the process, other than those that open and write files. */
const CHANGES =
  /^(mkdir|unlink|rmdir|rename|link|symlink|mknod|chmod|fchmod|chown|fchown|lchown|truncate|mount|umount|move_mount|fsopen|fsmount|open_tree|pivot_root|bind|connect|listen|bpf|keyctl|setns|unshare|fork|vfork|kill|tgkill|pidfd_send_signal|setxattr|sethostname|swapon)/;

/** Whether a traced call has changed something outside of its process, or has made a process. */
export function couldChange(traced: TracedCall): boolean {
  const { call, args, errno } = traced;
  if (errno !== "") return false;
  if (CHANGES.test(call) || routeChange(traced) !== undefined) return true;
  if (call.startsWith("clone")) return !args.join().includes("CLONE_THREAD");
  // Opened for writing. Memory files are not opened by a path.
  if (/^open/.test(call)) return /O_WRONLY|O_RDWR|O_CREAT/.test(args.join()) && !/"\/dev\//.test(args.join());
  if (call !== "write" && call !== "pwrite64") return false;
  // The engine wakes its own threads by an eventfd.
  const wakes = call === "write" && /^"\\1\\0/.test(args[1] ?? "");
  return !wakes && !["1", "2"].includes(args[0] ?? "");
}
