import {
  AT_EMPTY_PATH,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_WRONLY,
} from "../../bindings/abi/fcntl.ts";
import { dirent64, statx } from "../../bindings/abi/layouts.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import { makeDevice } from "../plan/structs.ts";
import { runProgram } from "./run-program.ts";

/** stat(2), `struct linux_dirent64` of getdents64(2) and statx(2). */
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
const S_IFREG = 0o100000;
const STATX_BASIC_STATS = 0x7ff;
const LIST_LENGTH = 64 * 1024;
const LINK_LENGTH = 4096;

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly device: bigint;
  readonly link: string;
}

/**
 * Option tmpcopyup: copies the content of the directory that a tmpfs is going to cover into it, with owners and modes. Init
 * does it, by descriptors only, since the content belongs to the container's author.
 */
export function copyUp(channel: StubChannel, covered: Register, mount: Register, pointer: string): void {
  const opening = channel.program();
  opening.about(pointer, "open the directory that a tmpfs covers");
  const flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const from = opening.call("openat", [covered, ".", flags, 0]);
  const to = opening.call("openat", [mount, ".", flags, 0]);
  runProgram(channel, opening);
  copyDirectory({ channel, pointer }, from, to);
}

/** Where the copying is done, and for which property. */
interface Copying {
  readonly channel: StubChannel;
  readonly pointer: string;
}

/** Copies what is in one open directory to another, and closes both. */
function copyDirectory(copying: Copying, from: Register, to: Register): void {
  const { channel, pointer } = copying;
  const subdirectories: { readonly from: Register; readonly to: Register }[] = [];
  for (const name of listDirectory(copying, from)) {
    const entry = describe(copying, from, name);
    const program = channel.program();
    program.about(pointer, `copy ${name} into the tmpfs`);
    const opened = copyEntry(program, from, to, entry);
    if (opened !== undefined) subdirectories.push(opened);
    runProgram(channel, program);
  }
  const closing = channel.program();
  closing.do("close", [from]);
  closing.do("close", [to]);
  runProgram(channel, closing);
  for (const { from: source, to: target } of subdirectories) copyDirectory(copying, source, target);
}

function listDirectory({ channel, pointer }: Copying, directory: Register): string[] {
  const names: string[] = [];
  for (;;) {
    const program = channel.program();
    program.about(pointer, "list the directory that a tmpfs covers");
    const entries = program.output(LIST_LENGTH);
    program.do("getdents64", [directory, entries, LIST_LENGTH]);
    const { results, outputs } = runProgram(channel, program);
    const length = results[0] ?? 0;
    if (length === 0) return names;
    names.push(...direntNames(Buffer.from(outputs[0] ?? []).subarray(0, length)));
  }
}

function direntNames(entries: Buffer): string[] {
  const names: string[] = [];
  for (let offset = 0; offset < entries.length; ) {
    const length = entries.readUInt16LE(offset + dirent64.d_reclen);
    const end = entries.indexOf(0, offset + dirent64.d_name);
    const name = entries.toString("utf8", offset + dirent64.d_name, end);
    if (name !== "." && name !== "..") names.push(name);
    offset += length;
  }
  return names;
}

function describe({ channel, pointer }: Copying, directory: Register, name: string): Entry {
  const program = channel.program();
  program.about(pointer, `look at ${name}`);
  const stat = program.output(statx.size);
  const link = program.output(LINK_LENGTH);
  program.do("statx", [directory, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, stat]);
  program.do("readlinkat", [directory, name, link, LINK_LENGTH], { tolerate: ["EINVAL"] });
  const { results, outputs } = runProgram(channel, program);
  const bytes = Buffer.from(outputs[0] ?? []);
  return {
    name,
    uid: bytes.readUInt32LE(statx.stx_uid),
    gid: bytes.readUInt32LE(statx.stx_gid),
    mode: bytes.readUInt16LE(statx.stx_mode),
    size: Number(bytes.readBigUInt64LE(statx.stx_size)),
    device: makeDevice(
      BigInt(bytes.readUInt32LE(statx.stx_rdev_major)),
      BigInt(bytes.readUInt32LE(statx.stx_rdev_minor)),
    ),
    link: Buffer.from(outputs[1] ?? []).toString("utf8", 0, Math.max(0, results[1] ?? 0)),
  };
}

/** Makes one entry. Of a directory, both sides are left open, for its content. */
function copyEntry(
  program: Program,
  from: Register,
  to: Register,
  { name, mode, uid, gid, size, device, link }: Entry,
): { readonly from: Register; readonly to: Register } | undefined {
  const permissions = mode & 0o7777;
  const type = mode & S_IFMT;
  if (type === S_IFLNK) {
    program.do("symlinkat", [link, to, name]);
    program.do("fchownat", [to, name, uid, gid, AT_SYMLINK_NOFOLLOW]);
    return undefined;
  }
  if (type === S_IFDIR) {
    const flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    program.do("mkdirat", [to, name, permissions]);
    const source = program.call("openat", [from, name, flags, 0]);
    const target = program.call("openat", [to, name, flags, 0]);
    setOwnerAndMode(program, target, uid, gid, permissions);
    return { from: source, to: target };
  }
  if (type !== S_IFREG) {
    program.do("mknodat", [to, name, mode, device]);
    program.do("fchownat", [to, name, uid, gid, AT_SYMLINK_NOFOLLOW]);
    return undefined;
  }
  // Should somebody have put a fifo in its place since, nobody waits for its writer.
  const source = program.call("openat", [from, name, O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0]);
  const target = program.call("openat", [
    to,
    name,
    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
    permissions,
  ]);
  // sendfile(2) moves at most 2 GiB a call.
  for (let done = 0; done < size; done += 0x7ffff000)
    program.do("sendfile", [target, source, 0, size - done], { path: name });
  setOwnerAndMode(program, target, uid, gid, permissions);
  program.do("close", [source]);
  program.do("close", [target]);
  return undefined;
}

/** The mode comes last: a change of owner clears the set-user-id bit. */
function setOwnerAndMode(program: Program, file: Register, uid: number, gid: number, mode: number): void {
  program.do("fchownat", [file, "", uid, gid, AT_EMPTY_PATH]);
  program.do("fchmod", [file, mode]);
}
