import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import { clone_args } from "../../bindings/abi/layouts.ts";
import { CLONE_INTO_CGROUP, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER } from "../../bindings/abi/sched.ts";
import { SIGCHLD } from "../../bindings/abi/signal.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { mkdirSync, rmdirSync } from "../../bindings/linux/directories.ts";
import {
  closeSync,
  existsSync,
  openSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "../../bindings/linux/files.ts";
import { type MountInfo, mountIdOf, mountsOf } from "../../bindings/linux/mount-info.ts";
import { effectiveUid } from "../../bindings/linux/own-process.ts";
import { dirname } from "../../bindings/linux/paths.ts";
import { randomNumber } from "../../bindings/linux/random.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import { at, data, type Program } from "../../bindings/stub/program.ts";
import { attachDeviceProgram } from "../cgroup/devices/attach.ts";
import { compileDeviceRules } from "../cgroup/devices/program.ts";
import { deviceMatches } from "../cgroup/devices/rules.ts";
import { CGROUP_MOUNT } from "../cgroup/files.ts";
import { callerCgroup, isWritableCgroup } from "../cgroup/path.ts";
import { removeCgroup } from "../cgroup/remove.ts";
import { inspectCaller } from "../container/caller/caller.ts";
import { withStub } from "../init/with-stub.ts";
import { namesIn, textOf } from "../inspect/kernel-features.ts";
import { Profile } from "../profile/profile.ts";
import type { TimedCall } from "../profile/recording.ts";

/** Times of a few repetitions in milliseconds, or why there are none: an errno, or a reason in words. */
export type Measured = { readonly milliseconds: readonly number[] } | { readonly failure: string };

/** How long this host takes for what `create` does, which slow-judgement.ts judges, and the settings that matter. */
export interface Slowness {
  /** fork and execve of a program of less than 3 KB. */
  readonly spawn: Measured;
  /** One grace period of RCU: the kernel waits until all processors have passed through their readers. */
  readonly gracePeriod: Measured;
  /** /sys/kernel/rcu_expedited is 1. */
  readonly isExpedited: boolean;
  /** A new network namespace, while the kernel takes down the one before. */
  readonly networkNamespace: Measured;
  /** Devices that the kernel puts into each new network namespace beside lo: tunl0, sit0, … */
  readonly tunnels: readonly string[];
  /** A copy of the mount namespace, and the end of the one before. */
  readonly mountNamespace: Measured;
  /** Number of mounts that it copies. */
  readonly mounts: number;
  readonly makeCgroup: Measured;
  readonly removeCgroup: Measured;
  /** clone3(2) with CLONE_INTO_CGROUP, as runts does it. */
  readonly cloneIntoCgroup: Measured;
  /** A write of a pid to cgroup.procs, as engines and other runtimes do it. */
  readonly moveToCgroup: Measured;
  /** Whether cgroup2 is mounted with favordynmods. */
  readonly favorsMoves: boolean;
  /** Loading a program for the usual device rules, and attaching it to a cgroup. */
  readonly deviceProgram: Measured;
  /** Writing, renaming and removing a file as small as a record, in the state directory or above it. */
  readonly stateFile: Measured;
  readonly stateDirectory: string;
  /** Type of its file system. */
  readonly stateFileSystem: string;
}

const REPETITIONS = 5;
/** membarrier(2): waits for one grace period, by synchronize_rcu() in kernel/sched/membarrier.c. */
const MEMBARRIER_CMD_GLOBAL = 1;

/** The purposes by which the recording tells the measurements apart. */
const PURPOSE = {
  spawn: "spawn the stub",
  gracePeriod: "wait for a grace period",
  networkNamespace: "make a network namespace",
  mountNamespace: "make a mount namespace",
  makeCgroup: "make a cgroup",
  removeCgroup: "remove a cgroup",
  cloneIntoCgroup: "clone into a cgroup",
  moveToCgroup: "move a process into a cgroup",
} as const;

/**
 * Measures for about a second. Namespaces are made in children that end, a cgroup of its own and a file in the state directory, or in the
 * nearest one above it that exists, are removed again. Throws if one of these can't be removed.
 */
export function measureSlowness(stateRoot: string): Slowness {
  const mounts = mountsOf("self");
  const stateDirectory = existingDirectory(stateRoot);
  const profile = new Profile("doctor", "");
  let cgroupFailure: string | undefined;
  let calls: readonly TimedCall[];
  try {
    for (let count = 0; count < REPETITIONS - 2; count++) withStub(() => undefined);
    withStub((channel) => measureNamespaces(channel));
    cgroupFailure = measureCgroups();
  } finally {
    calls = profile.finish({ exitCode: 0 }).calls;
  }
  const deviceProgram = cgroupFailure === undefined ? measureDeviceProgram() : { failure: cgroupFailure };
  const ofCgroup = (purpose: string, call: string): Measured =>
    cgroupFailure === undefined ? timesOf(calls, purpose, call) : { failure: cgroupFailure };
  return {
    spawn: timesOf(calls, PURPOSE.spawn, "posix_spawn"),
    gracePeriod: timesOf(calls, PURPOSE.gracePeriod, "membarrier"),
    isExpedited: textOf("/sys/kernel/rcu_expedited") === "1",
    networkNamespace: timesOf(calls, PURPOSE.networkNamespace, "unshare"),
    tunnels: tunnelsOfEachNamespace(),
    mountNamespace: timesOf(calls, PURPOSE.mountNamespace, "unshare"),
    mounts: mounts.length,
    makeCgroup: ofCgroup(PURPOSE.makeCgroup, "mkdirat"),
    removeCgroup: ofCgroup(PURPOSE.removeCgroup, "unlinkat"),
    cloneIntoCgroup: ofCgroup(PURPOSE.cloneIntoCgroup, "clone3"),
    moveToCgroup: ofCgroup(PURPOSE.moveToCgroup, "write"),
    favorsMoves: mounts.some(
      ({ point, superOptions }) => point === CGROUP_MOUNT && superOptions.includes("favordynmods"),
    ),
    deviceProgram,
    stateFile: measureStateFile(stateDirectory),
    stateDirectory,
    stateFileSystem: fileSystemOf(stateDirectory, mounts),
  };
}

/** The times of one system call under one purpose. */
function timesOf(calls: readonly TimedCall[], purpose: string, call: string): Measured {
  const found = calls.filter((timed) => timed.purpose === purpose && timed.call === call);
  const failure = found.find(({ errno }) => errno !== "")?.errno;
  if (failure !== undefined) return { failure };
  return found.length === 0
    ? { failure: "not reached" }
    : { milliseconds: found.map(({ begin, end }) => (end - begin) / 1000) };
}

function measureNamespaces(channel: StubChannel): void {
  const program = channel.program();
  const repeat = (purpose: string, call: "membarrier" | "unshare", args: readonly number[]) => {
    program.about("", purpose);
    for (let count = 0; count < REPETITIONS; count++) program.do(call, args, { tolerate: ["any"] });
  };
  repeat(PURPOSE.gracePeriod, "membarrier", [MEMBARRIER_CMD_GLOBAL, 0, 0]);
  // With a user namespace of its own, any user may make the others, as rootless containers do.
  program.about("", "make a user namespace");
  if (effectiveUid() !== 0) program.do("unshare", [CLONE_NEWUSER], { tolerate: ["any"] });
  repeat(PURPOSE.networkNamespace, "unshare", [CLONE_NEWNET]);
  repeat(PURPOSE.mountNamespace, "unshare", [CLONE_NEWNS]);
  channel.run(program);
}

/** Makes a cgroup of its own below the caller's, and removes it. Returns why it could not. */
function measureCgroups(): string | undefined {
  return inOwnCgroups((directory) => {
    withStub((channel, pid) => {
      channel.run(clonesInto(directory, channel.program()));
      for (let count = 0; count < REPETITIONS; count++)
        withPurpose("", PURPOSE.moveToCgroup, () => writeFileSync(`${directory}/cgroup.procs`, String(pid)));
    });
    for (let count = 0; count < REPETITIONS; count++) {
      const inner = `${directory}/${count}`;
      withPurpose("", PURPOSE.makeCgroup, () => mkdirSync(inner));
      withPurpose("", PURPOSE.removeCgroup, () => rmdirSync(inner));
    }
  });
}

/** Clones processes into a cgroup, which end at once. */
function clonesInto(directory: string, program: Program): Program {
  program.about("", "open a cgroup");
  const cgroup = program.call("openat", [AT_FDCWD, directory, O_PATH | O_DIRECTORY | O_CLOEXEC, 0]);
  for (let count = 0; count < REPETITIONS; count++) {
    const args = data(new Uint8Array(clone_args.size));
    const view = new DataView(args.bytes.buffer);
    view.setBigUint64(clone_args.flags, CLONE_INTO_CGROUP, true);
    view.setBigUint64(clone_args.exit_signal, BigInt(SIGCHLD), true);
    program.store(at(args, clone_args.cgroup), cgroup, 8);
    program.about("", PURPOSE.cloneIntoCgroup);
    const child = program.call("clone3", [args, clone_args.size], { tolerate: ["any"] });
    program.about("", "end the clone");
    program.do("exit_group", [0], { if: [child, "zero"] });
    program.do("wait4", [child, 0, 0, 0], { if: [child, "positive"] });
  }
  return program;
}

function measureDeviceProgram(): Measured {
  const { privileged, inUserNamespace } = inspectCaller();
  if (!privileged || inUserNamespace) return { failure: "only root may attach it" };
  // As for most containers: nothing is allowed but a short list.
  const allowed = [3n, 5n, 7n, 8n, 9n].map((minor) => ({
    allow: true,
    type: "c" as const,
    major: 1n,
    minor,
    access: "rwm",
  }));
  const instructions = compileDeviceRules(deviceMatches([{ allow: false, access: "rwm" }, ...allowed]));
  const milliseconds: number[] = [];
  const failure = inOwnCgroups((directory) => {
    for (let count = 0; count < REPETITIONS; count++) {
      const inner = `${directory}/${count}`;
      mkdirSync(inner);
      const options = { rootless: false, isNew: true, warn: () => undefined };
      milliseconds.push(duration(() => attachDeviceProgram(inner, instructions, options)));
      rmdirSync(inner);
    }
  });
  return failure === undefined ? { milliseconds } : { failure };
}

/** Runs an action with a new cgroup below the caller's own, and removes it. Returns why there can't be one. */
function inOwnCgroups(action: (directory: string) => void): string | undefined {
  let parent: string;
  try {
    parent = callerCgroup();
  } catch {
    return `no cgroup v2 is mounted at ${CGROUP_MOUNT}`;
  }
  if (!isWritableCgroup(parent)) return `${parent} may not be written to`;
  const directory = `${parent}/runts-doctor-${randomNumber().toString(36)}`;
  try {
    mkdirSync(directory);
    action(directory);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    removeCgroup(directory);
  }
}

/** Names of tunnel devices, by drivers that make one in each network namespace: fb_tunnels_only_for_init_net in net.rst of Linux. */
const TUNNELS = ["erspan0", "gre0", "gretap0", "ip6_vti0", "ip6gre0", "ip6tnl0", "ip_vti0", "sit0", "tunl0"];

function tunnelsOfEachNamespace(): string[] {
  if (textOf("/proc/sys/net/core/fb_tunnels_only_for_init_net") !== "0") return [];
  return namesIn("/sys/class/net").filter((name) => TUNNELS.includes(name));
}

function existingDirectory(path: string): string {
  return path === "/" || existsSync(path) ? path : existingDirectory(dirname(path));
}

function measureStateFile(directory: string): Measured {
  const file = `${directory}/.runts-doctor-${randomNumber().toString(36)}`;
  // A record has some kilobytes.
  const text = "x".repeat(4096);
  const milliseconds: number[] = [];
  try {
    for (let count = 0; count < REPETITIONS; count++)
      milliseconds.push(duration(() => replaceAndRemove(file, text)));
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
  return { milliseconds };
}

function replaceAndRemove(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { flag: "wx", mode: 0o600 });
  renameSync(`${file}.new`, file);
  unlinkSync(file);
}

function fileSystemOf(directory: string, mounts: readonly MountInfo[]): string {
  const fd = openSync(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  try {
    const id = mountIdOf("self", fd);
    return mounts.find((mount) => mount.id === id)?.type ?? "unknown";
  } finally {
    closeSync(fd);
  }
}

/** Milliseconds. */
function duration(action: () => void): number {
  const begin = performance.now();
  action();
  return performance.now() - begin;
}
