import {
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  S_IFDIR,
  S_IFMT,
  STATX_BASIC_STATS,
} from "../../bindings/abi/fcntl.ts";
import { dirent64, statx } from "../../bindings/abi/layouts.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import { data, type Register } from "../../bindings/stub/program.ts";
import { RuntsError } from "../errors.ts";
import { makedev } from "../plan/structs.ts";
import { type Copying, copyEntry, type Entry, programFor, setOwnerAndMode } from "./copy-entry.ts";
import { runProgram } from "./run-program.ts";

/** The unit of `stx_blocks`, in bytes: statx(2). */
const BLOCK = 512n;
/** Enough for the longest name, and few enough names that those of all levels are no burden. */
const LIST_LENGTH = 1024;
/** A path can't name more in its PATH_MAX bytes. */
const MOST_LEVELS = 2048;

const DIRECTORY = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

/** A directory on the way down to the one that is being copied. */
interface Level {
  /** The numbers of its descriptor, and of its copy's, in init. */
  readonly from: number;
  readonly to: number;
  /** Directories in it whose turn is still to come. */
  readonly pending: Entry[];
}

/**
 * Option tmpcopyup: copies the content of the directory that a tmpfs is going to cover into it, with owners and modes. Init
 * does it, by descriptors only, since the content belongs to the container's author: how much there is of it, how deep and under which
 * names, bounds neither what the runtime remembers nor how many registers it takes. What it makes is charged to the container.
 */
export function copyUp(channel: StubChannel, covered: Register, mount: Register, pointer: string): void {
  const copying = begin(channel, pointer);
  const levels = [openTop(copying, covered, mount)];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const directory = level.pending.pop();
    if (directory !== undefined) {
      if (levels.length === MOST_LEVELS) throw tooDeep(copying, directory);
      levels.push(enter(copying, directory));
    } else if (!copyNext(copying, level)) {
      levels.pop();
      leave(copying, levels.at(-1));
    }
  }
}

/** Registers for copying, by stub: one copy comes after the other, and a container may have many. */
const registersOf = new WeakMap<StubChannel, Omit<Copying, "channel" | "pointer">>();

function begin(channel: StubChannel, pointer: string): Copying {
  const { registers } = channel;
  const own = registersOf.get(channel) ?? {
    from: registers.take(),
    to: registers.take(),
    source: registers.take(),
    target: registers.take(),
    moved: registers.take(),
  };
  registersOf.set(channel, own);
  return { channel, pointer, ...own };
}

function openTop({ channel, pointer, from, to }: Copying, covered: Register, mount: Register): Level {
  const program = channel.program().about(pointer, "open the directory that a tmpfs covers");
  program.call("openat", [covered, ".", DIRECTORY, 0], { into: from });
  program.call("openat", [mount, ".", DIRECTORY, 0], { into: to });
  return levelOf(runProgram(channel, program).results);
}

function levelOf([from = -1, to = -1]: readonly number[]): Level {
  return { from, to, pending: [] };
}

/** Makes a directory in the one that is being copied, and goes on in it. */
function enter(copying: Copying, directory: Entry): Level {
  const { channel, from, to, source, target } = copying;
  const { name, mode } = directory;
  const program = programFor(copying, directory);
  program.call("openat", [from, name, DIRECTORY, 0], { into: source });
  program.do("mkdirat", [to, name, mode & 0o7777]);
  program.call("openat", [to, name, DIRECTORY, 0], { into: target });
  setOwnerAndMode(program, target, directory);
  program.call("copy", [source], { into: from });
  program.call("copy", [target], { into: to });
  const [opened = -1, , made = -1] = runProgram(channel, program).results;
  return levelOf([opened, made]);
}

/** Closes a directory, and goes on in the one above. */
function leave({ channel, pointer, from, to }: Copying, above: Level | undefined): void {
  const program = channel.program().about(pointer, "close the directory that a tmpfs covers");
  program.do("close", [from]);
  program.do("close", [to]);
  if (above !== undefined) {
    program.call("copy", [above.from], { into: from });
    program.call("copy", [above.to], { into: to });
  }
  runProgram(channel, program);
}

/** Copies some of what is in a directory, but for the directories. Returns whether there was anything. */
function copyNext(copying: Copying, { pending }: Level): boolean {
  const names = nextNames(copying);
  if (names === undefined) return false;
  for (const entry of describe(copying, names)) {
    if ((entry.mode & S_IFMT) === S_IFDIR) pending.push(entry);
    else copyEntry(copying, entry);
  }
  return true;
}

/** Undefined at the end of the directory. */
function nextNames({ channel, pointer, from }: Copying): Buffer[] | undefined {
  const program = channel.program().about(pointer, "list the directory that a tmpfs covers");
  const entries = program.output(LIST_LENGTH);
  program.do("getdents64", [from, entries, LIST_LENGTH]);
  const { results, outputs } = runProgram(channel, program);
  const length = results[0] ?? 0;
  if (length === 0) return undefined;
  const names = direntNames(Buffer.from(outputs[0] ?? []).subarray(0, length));
  if (names === undefined) throw noList(pointer);
  return names;
}

/** As C strings; undefined for a list that the kernel didn't make, but somebody who has taken over the stub. */
function direntNames(entries: Buffer): Buffer[] | undefined {
  const names: Buffer[] = [];
  for (let offset = 0; offset < entries.length; ) {
    const left = entries.subarray(offset);
    const length = left.length < dirent64.d_name ? 0 : left.readUInt16LE(dirent64.d_reclen);
    const end = left.indexOf(0, dirent64.d_name);
    if (end < 0 || end >= length || length > left.length) return undefined;
    const name = left.subarray(dirent64.d_name, end + 1);
    if (!isDots(name)) names.push(name);
    offset += length;
  }
  return names;
}

function noList(pointer: string): RuntsError {
  const message = `${pointer}: list the directory that a tmpfs covers: the answer is none that the kernel gives`;
  return new RuntsError(message, { operation: "getdents64", errno: "EPROTO", pointer });
}

/** The directory itself or the one above. */
function isDots(name: Buffer): boolean {
  const DOT = 0x2e;
  return name[0] === DOT && (name.length === 2 || (name.length === 3 && name[1] === DOT));
}

function describe({ channel, pointer, from }: Copying, names: readonly Buffer[]): Entry[] {
  const program = channel.program();
  for (const name of names) {
    program.about(pointer, `look at ${shown(name)}`);
    const stat = program.output(statx.size);
    program.do("statx", [from, data(name), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, stat]);
  }
  const { outputs } = runProgram(channel, program);
  return names.map((name, index) => entryOf(name, Buffer.from(outputs[index] ?? [])));
}

function entryOf(name: Buffer, stat: Buffer): Entry {
  return {
    name: data(name),
    shown: shown(name),
    uid: stat.readUInt32LE(statx.stx_uid),
    gid: stat.readUInt32LE(statx.stx_gid),
    mode: stat.readUInt16LE(statx.stx_mode),
    size: stat.readBigUInt64LE(statx.stx_size),
    allocated: BLOCK * stat.readBigUInt64LE(statx.stx_blocks),
    device: makedev(
      BigInt(stat.readUInt32LE(statx.stx_rdev_major)),
      BigInt(stat.readUInt32LE(statx.stx_rdev_minor)),
    ),
  };
}

function shown(name: Buffer): string {
  return name.toString("utf8", 0, name.length - 1);
}

function tooDeep({ pointer }: Copying, { shown }: Entry): RuntsError {
  const message = `${pointer}: copy ${shown} into the tmpfs: directories are nested deeper than ${MOST_LEVELS} levels`;
  return new RuntsError(message, { operation: "openat", errno: "ENAMETOOLONG", path: shown, pointer });
}
