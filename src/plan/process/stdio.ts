import {
  AT_EMPTY_PATH,
  O_CLOEXEC,
  O_NOCTTY,
  O_RDWR,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFCHR,
  STATX_BASIC_STATS,
} from "../../../bindings/abi/fcntl.ts";
import { statx } from "../../../bindings/abi/layouts.ts";
import type { Program, Register, Reply } from "../../../bindings/stub/program.ts";
import type { Process } from "../../spec/types.ts";
import { isDeviceNode, OPEN_HOW_SIZE, openHow } from "../structs.ts";

/** Descriptors of standard input, output and error. */
export type StandardStreams = readonly [number, number, number];

export interface StdioFacts {
  /** Descriptors of 0 to 2 that are the host's /dev/null: the container gets its own instead. */
  readonly nulls: readonly number[];
  /** Descriptors of 0 to 2 whose owner becomes the container's user, so that it can open them again by /proc/self/fd. */
  readonly chown: readonly number[];
}

/**
 * The caller's standard streams may be a terminal, into which whoever has it can type (TIOCSTI, ioctl_tty(2)). Until the container's own takes
 * their places, the channel does, which the clone has anyhow: no other file may get one of these numbers.
 */
export function keepStreamsOutside(program: Program, channel: number): void {
  program.about("/process/terminal", "keep the standard streams of the caller outside");
  for (const fd of [0, 1, 2]) program.do("dup3", [channel, fd, 0], { path: `standard stream ${fd}` });
}

/** Gives the standard streams to the container's user, while the process still has the right to. */
export function giveStdio(program: Program, process: Process, { chown }: StdioFacts): void {
  const uid = process.user?.uid ?? 0;
  program.about("/process/user/uid", "give the standard streams to the user");
  // A file system that is read-only, has no owners, or an owner that the user namespace doesn't map, keeps what it has.
  for (const fd of chown) {
    program.do("fchown", [fd, uid, -1], {
      tolerate: ["EINVAL", "EPERM", "EROFS"],
      path: `standard stream ${fd}`,
    });
  }
}

/** The container's /dev/null, open. */
export interface ContainerNull {
  readonly fd: Register;
  /** Whether it is the null device: to be asked of the reply to the program that has opened it. */
  readonly isNull: (reply: Reply) => boolean;
}

/**
 * Opens the container's /dev/null, which may be a symbolic link to any file, or another device: with the rights of the process
 * that gets it, so once its credentials are assumed, and looks at what is open then. Undefined where no stream is to be replaced.
 */
export function openContainerNull(
  program: Program,
  root: Register,
  { nulls }: StdioFacts,
): ContainerNull | undefined {
  if (nulls.length === 0) return undefined;
  program.about("/process", "open /dev/null of the container as standard stream");
  const how = openHow(O_RDWR | O_NOCTTY | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  const path = "/dev/null";
  const fd = program.call("openat2", [root, "dev/null", how, OPEN_HOW_SIZE], { tolerate: ["any"], path });
  const stat = program.output(statx.size);
  program.do("statx", [fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, stat], { if: [fd, "positive"], path });
  const output = program.outputs.indexOf(stat);
  return {
    fd,
    isNull: ({ outputs }) => isDeviceNode(outputs[output] ?? new Uint8Array(statx.size), S_IFCHR, 1n, 3n),
  };
}

/** Puts it in the place of the host's. Where it is none, the host's stays, and this one is closed at execve. */
export function replaceNulls(program: Program, { fd }: ContainerNull, { nulls }: StdioFacts): void {
  program.about("/process", "make /dev/null of the container the standard stream");
  for (const stream of nulls) program.do("dup3", [fd, stream, 0], { path: `standard stream ${stream}` });
}
