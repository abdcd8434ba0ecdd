import { routeChange } from "./rtnetlink.ts";
import type { TracedCall } from "./strace.ts";

/** Calls by which a process could change anything. What it opens and writes is looked at one by one. */
const CHANGES =
  /^(mkdir|unlink|rmdir|rename|link|symlink|mknod|chmod|fchmod|chown|fchown|lchown|truncate|mount|umount|move_mount|fsopen|fsmount|open_tree|pivot_root|bind|connect|listen|bpf|keyctl|setns|unshare|fork|vfork|kill|tgkill|pidfd_send_signal|setxattr|sethostname|swapon)/;

/** Whether a traced call could have changed anything outside of its process, or has made another one. */
export function couldChange(traced: TracedCall): boolean {
  const { call, args, errno } = traced;
  if (errno !== "") return false;
  if (CHANGES.test(call) || routeChange(traced) !== undefined) return true;
  if (call.startsWith("clone")) return !args.join().includes("CLONE_THREAD");
  // A file that is opened for writing; a memory file is nobody else's.
  if (/^open/.test(call)) return /O_WRONLY|O_RDWR|O_CREAT/.test(args.join()) && !/"\/dev\//.test(args.join());
  if (call !== "write" && call !== "pwrite64") return false;
  // The engine wakes its own threads by an eventfd.
  const wakes = call === "write" && /^"\\1\\0/.test(args[1] ?? "");
  return !wakes && !["1", "2"].includes(args[0] ?? "");
}
