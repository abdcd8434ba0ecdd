import {
  AT_EMPTY_PATH,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_WRONLY,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "../../bindings/abi/fcntl.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import {
  type CallOptions,
  type Data,
  data,
  type Program,
  type Register,
} from "../../bindings/stub/program.ts";
import { runProgram } from "./run-program.ts";

/** PATH_MAX, with the NUL behind the longest target. */
const LINK_LENGTH = 4096;
/** lseek(2) */
const SEEK_SET = 0;
const SEEK_CUR = 1;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** Moved by one call: what a slow disk gives long before the time is over that a stub may take for its answer. */
const PART = 64 * 1024 * 1024;
/** Holes of less take less memory than their search takes time. */
const LEAST_HOLES = 64n * 1024n;

/**
 * The stub that copies, the property that asks for it, and the registers that are used over and over: a stub has only as many as a container
 * needs for all else, and an image has as many files as its author likes.
 */
export interface Copying {
  readonly channel: StubChannel;
  readonly pointer: string;
  /** The directory that is being copied, and its copy. */
  readonly from: Register;
  readonly to: Register;
  /** The entry that is being copied, and its copy. */
  readonly source: Register;
  readonly target: Register;
  readonly moved: Register;
}

/** An entry of a directory, as statx(2) describes it. */
export interface Entry {
  /** A C string: names are bytes, in whatever encoding. */
  readonly name: Data;
  /** The name in messages. */
  readonly shown: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: bigint;
  /** Bytes that the file takes, less than its size where it has holes. */
  readonly allocated: bigint;
  readonly device: bigint;
}

export function programFor({ channel, pointer }: Copying, { shown }: Entry): Program {
  return channel.program().about(pointer, `copy ${shown} into the tmpfs`);
}

/** Copies whatever is not a directory. */
export function copyEntry(copying: Copying, entry: Entry): void {
  const type = entry.mode & S_IFMT;
  if (type === S_IFREG) {
    copyFile(copying, entry);
    return;
  }
  const { channel, from, to } = copying;
  const { name, mode, uid, gid, device } = entry;
  const program = programFor(copying, entry);
  if (type === S_IFLNK) {
    // It stays in the stub, byte by byte.
    const link = data(new Uint8Array(LINK_LENGTH));
    program.do("readlinkat", [from, name, link, LINK_LENGTH - 1]);
    program.do("symlinkat", [link, to, name]);
  } else {
    program.do("mknodat", [to, name, mode, device]);
  }
  program.do("fchownat", [to, name, uid, gid, AT_SYMLINK_NOFOLLOW]);
  runProgram(channel, program);
}

/**
 * How many operations that takes must not depend on the size, which the image's author chose: each program moves a part, until nothing
 * is left or the tmpfs is full.
 */
function copyFile(copying: Copying, entry: Entry): void {
  const { from, to, source, target } = copying;
  const program = programFor(copying, entry);
  // Should somebody have put a fifo in its place since, nobody waits for its writer.
  program.call("openat", [from, entry.name, O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0], { into: source });
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  program.call("openat", [to, entry.name, flags, entry.mode & 0o7777], { into: target });
  if (entry.size - entry.allocated < LEAST_HOLES) copyContent(copying, entry, program);
  else copyExtents(copying, entry, program);
}

/** Copies a file's content; that of a small file in the program that opens it. */
function copyContent(copying: Copying, entry: Entry, opening: Program): void {
  const { channel, source, target, moved } = copying;
  for (let program = opening; ; program = programFor(copying, entry)) {
    const part = [target, source, 0, PART];
    program.do("sendfile", part, { into: moved });
    // A call that moves less than it could is followed by one that says why: the end of the file, or no space left.
    const last = program.operations.length;
    program.do("sendfile", part, { into: moved, if: [moved, "positive"] });
    finish(program, copying, entry, { if: [moved, "zero"] });
    if (runProgram(channel, program).results[last] === 0) return;
  }
}

/** Copies only the data of a file with holes, one piece a program: a copy that reads the holes would fill them. */
function copyExtents(copying: Copying, entry: Entry, opening: Program): void {
  const { channel, target } = copying;
  opening.do("ftruncate", [target, entry.size]);
  let length = moveOn(copying, opening, 0);
  while (length > 0) length = moveOn(copying, programFor(copying, entry), length);
  const closing = programFor(copying, entry);
  finish(closing, copying, entry);
  runProgram(channel, closing);
}

/**
 * Moves so much data, then has both files stand at the next. Returns how much that is; 0 at the end. Offsets stay in the stub, as
 * numbers of 64 bits: where their difference is less exact than they are, the next program finds what is left.
 */
function moveOn({ channel, source, target, moved }: Copying, program: Program, length: number): number {
  if (length > 0) program.do("sendfile", [target, source, 0, Math.min(length, PART)]);
  const at = program.operations.length;
  program.do("lseek", [source, 0, SEEK_CUR], { into: moved });
  program.do("lseek", [source, moved, SEEK_DATA], { into: moved, tolerate: ["ENXIO"] });
  program.do("lseek", [source, moved, SEEK_HOLE], { if: [moved, "ok"] });
  program.do("lseek", [source, moved, SEEK_SET], { if: [moved, "ok"] });
  program.do("lseek", [target, moved, SEEK_SET], { if: [moved, "ok"] });
  const { results } = runProgram(channel, program);
  const [begin = -1, end = -1] = results.slice(at + 1);
  // If nothing was moved, somebody has cut the file short since.
  if (begin < 0 || (length > 0 && results[at - 1] === 0)) return 0;
  return Math.max(1, end - begin);
}

function finish(
  program: Program,
  { source, target }: Copying,
  entry: Entry,
  options: CallOptions = {},
): void {
  setOwnerAndMode(program, target, entry, options);
  program.do("close", [source], options);
  program.do("close", [target], options);
}

/** The mode comes last: a change of owner clears the set-user-id bit. */
export function setOwnerAndMode(
  program: Program,
  file: Register,
  { uid, gid, mode }: Entry,
  options: CallOptions = {},
): void {
  program.do("fchownat", [file, "", uid, gid, AT_EMPTY_PATH], options);
  program.do("fchmod", [file, mode & 0o7777], options);
}
