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

/** Descriptors that become standard input, output and error. */
export type StandardStreams = readonly [number, number, number];

export interface StdioFacts {
  /** Those of 0 to 2 that are the host's /dev/null; the container gets its own instead. */
  readonly nulls: readonly number[];
  /** Those of 0 to 2 whose owner becomes the container's user, so that it can reopen them by /proc/self/fd. */
  readonly chown: readonly number[];
}

/**
 * Replaces the caller's standard streams in a process that will have a terminal. They may be the caller's terminal, and any process that has
 * it open can type into it (TIOCSTI, ioctl_tty(2)). Until the container's terminal replaces them, 0 to 2 are copies of the channel, which
 * the clone has anyway, so that no other file gets these numbers.
 */
export function keepStreamsOutside(program: Program, channel: number): void {
  program.about("/process/terminal", "replace the standard streams of the caller");
  for (const fd of [0, 1, 2]) program.do("dup3", [channel, fd, 0], { path: `standard stream ${fd}` });
}

/** Makes the container's user the owner of the standard streams, while the process still may. */
export function chownStdio(program: Program, process: Process, { chown }: StdioFacts): void {
  const uid = process.user?.uid ?? 0;
  program.about("/process/user/uid", "give the standard streams to the user");
  // The owner stays if the file system is read-only or has no owners, or if the user namespace doesn't map the present one.
  for (const fd of chown) {
    program.do("fchown", [fd, uid, -1], {
      tolerate: ["EINVAL", "EPERM", "EROFS"],
      path: `standard stream ${fd}`,
    });
  }
}

/** The container's opened /dev/null. */
export interface ContainerNull {
  readonly fd: Register;
  /** Whether it is the null device, from the reply to the program that opened it. */
  readonly isNull: (reply: Reply) => boolean;
}

/**
 * Opens the container's /dev/null, and asks what was opened: the path may be a symbolic link to any file, or another device. Call it after
 * assumeCredentials, so that it is opened with the permissions of the process that gets it. Undefined if no stream is to be replaced.
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

/** Replaces the host's /dev/null by the container's. If that isn't the null device, don't call this: it is closed at execve. */
export function replaceNulls(program: Program, { fd }: ContainerNull, { nulls }: StdioFacts): void {
  program.about("/process", "make /dev/null of the container the standard stream");
  for (const stream of nulls) program.do("dup3", [fd, stream, 0], { path: `standard stream ${stream}` });
}
