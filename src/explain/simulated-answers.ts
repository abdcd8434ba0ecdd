import { S_IFDIR, S_IFREG, S_IFSOCK, STATX_BASIC_STATS } from "../../bindings/abi/fcntl.ts";
import { open_how, statfs, statx } from "../../bindings/abi/layouts.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { callKernel, type SyscallName } from "../../bindings/ffi/syscall.ts";
import { CGROUP2_SUPER_MAGIC } from "../cgroup/files.ts";
import type { FileKind, VirtualFile } from "./virtual-files.ts";

/** Answers of the simulated kernel, as bytes. */

/** Reads a part of a file into a buffer; returns its length. */
export function copyPart(
  file: VirtualFile | undefined,
  offset: number,
  buffer: Uint8Array,
  length: number,
): number {
  const part = new TextEncoder().encode(file?.content ?? "").subarray(offset, offset + length);
  buffer.set(part);
  return part.length;
}

/** cgroup.subtree_control after `+pids -io` has been written to it. */
export function enabled(before: string, change: string): string {
  const names = new Set(before.trim().split(" ").filter(Boolean));
  for (const word of change.trim().split(" ")) {
    if (word.startsWith("+")) names.add(word.slice(1));
    else names.delete(word.slice(1));
  }
  return `${[...names].join(" ")}\n`;
}

const KINDS: Readonly<Record<FileKind, number>> = {
  directory: S_IFDIR | 0o755,
  file: S_IFREG | 0o644,
  socket: S_IFSOCK | 0o600,
};

/** What statx(2) says of a file. */
export function fillStatus(buffer: Uint8Array, file: VirtualFile | undefined, path: string): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  view.setUint32(statx.stx_mask, STATX_BASIC_STATS, true);
  view.setUint16(statx.stx_mode, KINDS[file?.kind ?? "file"], true);
  view.setBigUint64(statx.stx_size, BigInt(file?.content.length ?? 0), true);
  let hash = 7n;
  for (let at = 0; at < path.length; at++)
    hash = (hash * 31n + BigInt(path.charCodeAt(at))) & 0xffffffffffffn;
  view.setBigUint64(statx.stx_ino, hash, true);
}

/** Has statfs(2) say cgroup v2; returns whether it did. */
export function becomeCgroup2(buffer: Uint8Array): boolean {
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  const was = Number(view.getBigUint64(statfs.f_type, true)) === CGROUP2_SUPER_MAGIC;
  view.setBigUint64(statfs.f_type, BigInt(CGROUP2_SUPER_MAGIC), true);
  return was;
}

/** O_* of openat2(2). */
export function flagsOf(how: Uint8Array): number {
  return Number(new DataView(how.buffer, how.byteOffset).getBigUint64(open_how.flags, true));
}

/** A number of 32 bits, as all that names stand for are; returns the length of the buffer. */
export function fillNumber(buffer: Uint8Array, number: number): number {
  new DataView(buffer.buffer, buffer.byteOffset).setUint32(0, number, true);
  return buffer.length;
}

/** The upper half of the second word of each entry of poll(2) is `revents`: all can be read. */
export function makeReadable(entries: Uint8Array): void {
  for (let at = 6; at < entries.length; at += 8) entries[at] = 1;
}

/** What concerns nobody but the calling process, and what goes to a stub. */
export const OWN_BUSINESS = new Set<SyscallName>([
  "flock",
  "socket",
  "setsockopt",
  "sendto",
  "sendmsg",
  "recvmsg",
  "pipe2",
  "rt_sigaction",
  "rt_sigprocmask",
  "waitid",
  "setns",
]);

/** What the process asks of itself; and what only changes the calling thread, which for a moment looks at the host with other rights. */
const OF_CALLER = new Set<SyscallName>(["capget", "capset", "getcwd", "getegid", "geteuid", "getpid"]);

/** Really makes such a call. */
export function callOfThread(name: SyscallName, args: readonly NativeArgument[]): number | undefined {
  return OF_CALLER.has(name) ? callKernel(name, args) : undefined;
}

/** Those whose result is a new descriptor. */
export const DESCRIPTOR_RESULTS = new Set<SyscallName>(["socket", "pidfd_getfd", "open_tree"]);
