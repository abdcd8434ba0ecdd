import {
  AT_FDCWD,
  F_DUPFD_CLOEXEC,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
} from "../../bindings/abi/fcntl.ts";
import { clone_args, kernel_sigaction } from "../../bindings/abi/layouts.ts";
import { PR_SET_NAME } from "../../bindings/abi/prctl.ts";
import * as sched from "../../bindings/abi/sched.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import { openSync, writeFileSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { STUB_NAME, type StubChannel } from "../../bindings/stub/client.ts";
import { at, data, type Program } from "../../bindings/stub/program.ts";
import { type Namespaces, unsharedAsRoot } from "../plan/init-plan.ts";
import { NAMESPACE_FLAGS } from "../plan/namespaces.ts";
import { clearDumpable } from "../plan/process/credentials.ts";
import { keepStreamsOutside } from "../plan/process/stdio.ts";
import type { Linux } from "../spec/types.ts";
import { type MappingRights, writeIdMappings } from "./id-mappings.ts";
import type { Joined } from "./network-of.ts";
import { onBehalfOf, receiveReply, runProgram } from "./run-program.ts";
import { takeStreams } from "./standard-streams.ts";

/** struct sigaction of SIG_DFL. */
export const DEFAULT_ACTION = new Uint8Array(kernel_sigaction.size);

export interface SpawnOptions extends MappingRights {
  /** The namespaces that are made, or joined by path; absent for none. */
  readonly namespaces?: Namespaces;
  /** Id mappings and clock offsets of the namespaces that are made. */
  readonly linux?: Linux;
  /** A process whose namespaces are joined. */
  readonly join?: Joined;
  /** Done first of all, in the namespaces of the runtime. The clone inherits it. */
  readonly execLabels?: ((program: Program) => void) | undefined;
  /** Done before the clone, which inherits it. */
  readonly beforeClone?: ((program: Program) => void) | undefined;
  /** Done before the clone as well, once the namespaces are joined. */
  readonly afterJoin?: ((program: Program) => void) | undefined;
  /** Directory of the container's cgroup, open. */
  readonly cgroup: number | undefined;
  /** Descriptors after stdio that stay open. */
  readonly keepFds: number;
  /** Signals that the engine or its caller ignores: execve(2) resets handlers only. */
  readonly ignoredSignals: readonly number[];
  /** Descriptors that take the place of the runtime's standard streams. */
  readonly stdio?: readonly number[] | undefined;
  /** Whether the process gets a terminal of the container's own, so that the caller's streams stay outside. */
  readonly hasTerminal?: boolean;
  /** Set by the process itself, if the runtime may not set it from outside later. */
  readonly oomScoreAdj?: number | undefined;
}

export type CloneOptions = SpawnOptions & Required<Pick<SpawnOptions, "namespaces" | "linux">>;

/** A connection to a process that takes programs. */
export interface Channel {
  readonly ours: StubChannel;
  /** The number of the stub's end, which is not open here any more. */
  readonly theirs: number;
}

/** A stub that clones itself, and its channels. */
export interface CloningStub {
  readonly pid: number;
  readonly stubChannel: Channel;
  readonly cloneChannel: Channel;
}

/** The programs that a stub was sent, and the index of the operation whose result is the pid of its clone. */
export interface SentClone {
  readonly reset: Program;
  readonly cloning: Program;
  readonly cloned: number;
}

/**
 * The one place where a process is made ready for a container: it is in its final state before it enters. The stub that clones it, which the
 * container does not see, takes away what the process must not have in there, and gives it what it has to have: labels, namespaces, and what
 * the caller plans after they are joined, such as the root directory, the keyring and the capabilities.
 */
export function cloneByStub(
  { pid, stubChannel, cloneChannel }: CloningStub,
  options: CloneOptions,
): SentClone {
  // A program of its own: it closes all descriptors that it doesn't know, also those that would come with it.
  const reset = stubChannel.ours.program();
  // In the order of their numbers, as they were opened.
  const channels = [
    Math.min(stubChannel.theirs, cloneChannel.theirs),
    Math.max(stubChannel.theirs, cloneChannel.theirs),
  ] as const;
  resetProcess(reset, channels, options);
  options.execLabels?.(reset);
  stubChannel.ours.send(reset);
  if (options.namespaces.created.has("time")) makeTimeNamespace(stubChannel.ours, reset, pid, options);
  const cloning = stubChannel.ours.program();
  const opened: OwnedDescriptor[] = [];
  try {
    enterNamespaces(cloning, options, opened);
    const cloned = cloneProcess(cloning, options, stubChannel.theirs, cloneChannel.theirs);
    stubChannel.ours.send(cloning);
    return { reset, cloning, cloned };
  } finally {
    for (const descriptor of opened) descriptor.close();
  }
}

/** Plans all that comes before the clone. The descriptors that go with the program are added to `opened`. */
function enterNamespaces(program: Program, options: CloneOptions, opened: OwnedDescriptor[]): void {
  const { stdio, join } = options;
  if (stdio !== undefined) replaceStandardStreams(program, stdio, opened);
  options.beforeClone?.(program);
  if (options.oomScoreAdj !== undefined) setOomScore(program, options.oomScoreAdj);
  joinNamespaces(program, options, opened);
  if (join !== undefined && join.flags !== 0) {
    clearDumpable(program);
    program.about("", "join the container's namespaces");
    program.do("setns", [program.descriptor(join.pidfd), join.flags]);
    if ((join.flags & sched.CLONE_NEWUSER) !== 0) clearDumpable(program);
  }
  options.afterJoin?.(program);
}

/** Resets what the engine and its caller have changed of the process to what execve(2) gives a new program. */
function resetProcess(
  program: Program,
  channels: readonly [number, number],
  { keepFds, ignoredSignals }: CloneOptions,
): void {
  program.about("", "reset the process");
  program.do("prctl", [PR_SET_NAME, STUB_NAME, 0, 0, 0]);
  for (const signal of ignoredSignals) program.do("rt_sigaction", [signal, data(DEFAULT_ACTION), 0, 8]);
  const SIG_SETMASK = 2;
  program.do("rt_sigprocmask", [SIG_SETMASK, data(new Uint8Array(8)), 0, 8]);
  // Descriptors of the caller that are not close-on-exec: engines leave some open.
  let next = 3 + keepFds;
  for (const channel of channels) {
    if (channel > next) program.do("close_range", [next, channel - 1, 0]);
    next = Math.max(next, channel + 1);
  }
  program.do("close_range", [next, 0xffffffff, 0]);
}

/** The descriptors stay the caller's: copies of them are sent. */
function replaceStandardStreams(program: Program, stdio: readonly number[], opened: OwnedDescriptor[]): void {
  program.about("", "take the standard streams");
  const copies = stdio.map((fd) => {
    const copy = syscall("fcntl", [fd, F_DUPFD_CLOEXEC, 3]);
    opened.push(new OwnedDescriptor(copy));
    return copy;
  });
  takeStreams(program, copies);
}

/**
 * Joins namespaces by path. A privileged caller joins the user namespace last, since it may not own the others; an
 * unprivileged one first, since only that gives it the right to join the others. user_namespaces(7)
 */
function joinNamespaces(
  program: Program,
  { namespaces, privileged }: CloneOptions,
  opened: OwnedDescriptor[],
): void {
  const types = [...namespaces.joined.keys()].filter((type) => type !== "user");
  // Other processes are in these namespaces. If a caller without privileges has mappings to write, though, the process must stay within its reach.
  const hides = namespaces.joined.size > 0 && (privileged || !namespaces.created.has("user"));
  if (hides) clearDumpable(program);
  if (namespaces.joined.has("user")) {
    if (privileged) types.push("user");
    else types.unshift("user");
  }
  for (const type of types) {
    const { path, pointer } = namespaces.joined.get(type) ?? { path: "", pointer: "" };
    const fd = onBehalfOf(pointer, `join the ${type} namespace`, () => openNamespace(path));
    opened.push(new OwnedDescriptor(fd));
    program.about(pointer, `join the ${type} namespace`);
    program.do("setns", [program.descriptor(fd), NAMESPACE_FLAGS[type] ?? 0], { path });
    if (hides && type === "user") clearDumpable(program);
  }
}

/** Without O_NONBLOCK a fifo that stands there would wait for a writer. */
export function openNamespace(path: string): number {
  return openSync(path, O_RDONLY | O_NONBLOCK);
}

/** Sets oom_score_adj, which the clone inherits. proc_pid_oom_score_adj(5) */
function setOomScore(program: Program, value: number): void {
  const path = "/proc/self/oom_score_adj";
  program.about("/process/oomScoreAdj", "set oom_score_adj");
  const file = program.call("openat", [AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0]);
  program.do("write", [file, String(value), String(value).length], { path });
  program.do("close", [file]);
}

/** A time namespace is made before the clone, and by an unprivileged caller only inside of the user namespace. */
export function hasEarlyUserNamespace({ namespaces: { created }, privileged }: CloneOptions): boolean {
  return !privileged && created.has("time") && created.has("user");
}

/** Offsets can be written only before the first process is in the namespace. time_namespaces(7) */
function makeTimeNamespace(channel: StubChannel, reset: Program, pid: number, options: CloneOptions): void {
  const { timeOffsets } = options.linux;
  receiveReply(channel, reset);
  if (hasEarlyUserNamespace(options)) {
    const early = channel.program();
    early.about("/linux/namespaces", "make a user namespace");
    early.do("unshare", [sched.CLONE_NEWUSER]);
    runProgram(channel, early);
    writeIdMappings(pid, options.linux, options.namespaces, options);
  }
  const program = channel.program();
  program.about("/linux/namespaces", "make a time namespace");
  program.do("unshare", [sched.CLONE_NEWTIME]);
  runProgram(channel, program);
  if (timeOffsets === undefined) return;
  const lines = (["monotonic", "boottime"] as const).flatMap((clock) => {
    const { secs = 0n, nanosecs = 0 } = timeOffsets[clock] ?? {};
    return timeOffsets[clock] === undefined ? [] : [`${clock} ${secs} ${nanosecs}\n`];
  });
  onBehalfOf("/linux/timeOffsets", "set the clock offsets", () => {
    for (const line of lines) writeFileSync(`/proc/${pid}/timens_offsets`, line);
  });
}

/** Returns the index of the operation whose result is the pid. */
function cloneProcess(
  program: Program,
  options: CloneOptions,
  stubChannel: number,
  cloneChannel: number,
): number {
  let flags = BigInt(sched.CLONE_PARENT);
  // The time namespace is unshared above, the cgroup namespace once init is in its cgroup.
  const elsewhere = [
    "time",
    "cgroup",
    ...unsharedAsRoot(options.namespaces),
    ...(hasEarlyUserNamespace(options) ? ["user"] : []),
  ];
  for (const type of options.namespaces.created) {
    if (!elsewhere.includes(type)) flags |= BigInt(NAMESPACE_FLAGS[type] ?? 0);
  }
  // The container's processes see the clone from its first moment. A caller without privileges could not reach a hidden one, either,
  // and has no need to hide it: its container has no other process until the program runs.
  if (options.privileged) clearDumpable(program);
  // Namespaces and the like are entered: no descriptor of them may be found in the clone (CVE-2024-21626).
  const entered = program.descriptors.slice(options.stdio?.length ?? 0);
  for (const { into } of entered) program.do("close", [into]);
  if (options.hasTerminal === true) keepStreamsOutside(program, cloneChannel);
  const args = data(new Uint8Array(clone_args.size));
  program.about("/linux/cgroupsPath", "clone the process into its namespaces and its cgroup");
  const cgroup = options.cgroup === undefined ? undefined : program.descriptor(options.cgroup);
  if (cgroup !== undefined) {
    flags |= sched.CLONE_INTO_CGROUP;
    program.store(at(args, clone_args.cgroup), cgroup, 8);
  }
  new DataView(args.bytes.buffer).setBigUint64(clone_args.flags, flags, true);
  if (options.namespaces.created.size > 0)
    program.about("/linux/namespaces", "clone the process into its namespaces and its cgroup");
  const index = program.operations.length;
  const pid = program.call("clone3", [args, clone_args.size]);
  // Two processes run what follows. From here on each has its own channel to say what has failed.
  program.about("", "switch to its own channel");
  program.do("set-channel", [cloneChannel], { if: [pid, "zero"] });
  program.about("", "close the stub's descriptors");
  // clone3(2) takes the cgroup by a descriptor, which the clone has as well: a mount that leads nowhere else.
  if (cgroup !== undefined) program.do("close", [cgroup], { if: [pid, "zero"] });
  program.do("close", [stubChannel], { if: [pid, "zero"] });
  program.about("", "begin a session");
  program.do("setsid", [], { if: [pid, "zero"] });
  return index;
}
