import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  STATX_MNT_ID,
} from "../../bindings/abi/fcntl.ts";
import { statx } from "../../bindings/abi/layouts.ts";
import { MNT_DETACH } from "../../bindings/abi/mount.ts";
import { closeSync, openSync } from "../../bindings/linux/files.ts";
import { mountsOf } from "../../bindings/linux/mount-info.ts";
import type { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import type { Program } from "../../bindings/stub/program.ts";
import { RuntsError } from "../errors.ts";
import type { HostFacts, InitPlan, Namespaces } from "../plan/init-plan.ts";
import { makeMounts } from "../plan/mounts/mounts.ts";
import { mountRequests } from "../plan/mounts/requests.ts";
import { becomeRootOf, rootIds } from "../plan/namespaces.ts";
import { isAtOrBelow, openInRoot } from "../plan/rootfs-paths.ts";
import { mountId } from "../plan/structs.ts";
import { wantsIdMap } from "../spec/id-mapped-mount.ts";
import type { Config, Mount } from "../spec/types.ts";
import { copyUp } from "./copy-up.ts";
import { prepareBindCopies, prepareIdMappedMounts } from "./id-mapped-mounts.ts";
import { runProgram } from "./run-program.ts";

/** A container that runs. A stub has joined its mount namespace. */
export interface LiveMountsOptions {
  readonly id: string;
  readonly config: Config;
  readonly namespaces: Namespaces;
  readonly facts: HostFacts;
  readonly inUserNamespace: boolean;
  readonly canSetGroups: boolean;
  /** Pid of its init. */
  readonly pid: number;
}

/** Mounts in a container that runs, in the listed order, with the calls that make those of its config. Stops at the first error. */
export function makeLiveMounts(
  channel: StubChannel,
  mounts: readonly Mount[],
  options: LiveMountsOptions,
): void {
  const plan = planFor(channel, { ...options, config: { ...options.config, mounts: [...mounts] } });
  const requests = mountRequests(plan, "");
  enter(channel, plan, options);
  for (const request of requests) {
    const program = channel.program();
    const opened: OwnedDescriptor[] = [];
    try {
      if (wantsIdMap(request.mount))
        prepareIdMappedMounts(program, plan, [request], { pid: options.pid, opened });
      prepareBindCopies(program, plan, [request], opened);
      // Only links that are copied need checks, and those are refused.
      makeMounts(program, plan, [request], []);
      runProgram(channel, program);
    } finally {
      for (const descriptor of opened) descriptor.close();
    }
  }
}

/** A mount point, and the pointer of the property that names it. */
export interface MountPoint {
  readonly path: string;
  readonly pointer: string;
}

/** Unmounts the uppermost mount of each mount point: lazily, so that processes that use it can go on. */
export function removeLiveMounts(
  channel: StubChannel,
  points: readonly MountPoint[],
  options: LiveMountsOptions,
): void {
  const plan = planFor(channel, options);
  enter(channel, plan, options);
  for (const { path, pointer } of points) {
    const opening = channel.program();
    opening.about(pointer, `unmount ${path}`);
    const opened = opening.operations.length;
    const target = openInRoot(opening, plan.root, path);
    const stat = opening.output(statx.size);
    opening.do("statx", [target, "", AT_EMPTY_PATH, STATX_MNT_ID, stat], { path });
    const { results, outputs } = runProgram(channel, opening);
    const fd = results[opened] ?? -1;
    checkMountPoint({ path, pointer }, mountId(outputs[0]), options.pid);
    const program = channel.program();
    program.about(pointer, `unmount ${path}`);
    program.do("fchdir", [plan.hostProc], { path: "/proc" });
    // Unmounted by the descriptor, since the path may lead elsewhere by now. The magic link is that of the host's procfs.
    program.do("umount2", [`self/fd/${fd}`, MNT_DETACH], { path });
    program.do("close", [target]);
    try {
      runProgram(channel, program);
    } catch (error) {
      throw isErrno(error, "EINVAL") ? notMounted({ path, pointer }, error) : error;
    }
  }
}

/**
 * Throws if the mount that was opened is not the one that the kernel lists at this path. A symbolic link of the container may lead to any
 * of its mounts: also to a masked path, which must not be unmasked by another name.
 */
function checkMountPoint({ path, pointer }: MountPoint, mount: bigint, pid: number): void {
  const found = mountsOf(pid).find(({ id }) => BigInt(id) === mount)?.point;
  if (found === path) return;
  if (found === undefined || isAtOrBelow(path, found)) throw notMounted({ path, pointer });
  const message = `${pointer}: ${path} leads to what is mounted on ${found}: only a mount point itself can be named`;
  throw new RuntsError(message, { operation: "umount2", errno: "EINVAL", path, pointer });
}

function isErrno(error: unknown, errno: string): boolean {
  return error instanceof RuntsError && error.errno === errno;
}

function notMounted({ path, pointer }: MountPoint, cause?: unknown): RuntsError {
  const message = `${pointer}: ${path} is not a mount point of the container, or is one that holds it together (locked)`;
  return new RuntsError(message, { operation: "umount2", errno: "EINVAL", path, pointer, cause });
}

function planFor(channel: StubChannel, options: LiveMountsOptions): InitPlan {
  const { registers } = channel;
  const runSoFar = (program: Program) => {
    const reply = runProgram(channel, program);
    program.clear();
    return reply;
  };
  return {
    ...options,
    noPivot: false,
    isLive: true,
    made: [],
    keyring: undefined,
    root: registers.take(),
    rootfs: registers.take(),
    hostProc: registers.take(),
    runSoFar,
    copyUp: (program, covered, mount, pointer) => {
      runSoFar(program);
      copyUp(channel, covered, mount, pointer);
    },
  };
}

/** Where a stub in a running container starts from. */
export type Entered = Pick<InitPlan, "root" | "hostProc">;

/** Opens the root of the container: the stub's own root, since it has joined the mount namespace. */
export function enter(channel: StubChannel, entered: Entered, options: LiveMountsOptions): void {
  const procfs = openSync("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  try {
    runProgram(channel, entering(channel.program(), procfs, entered, options));
  } finally {
    closeSync(procfs);
  }
}

function entering(program: Program, procfs: number, entered: Entered, options: LiveMountsOptions): Program {
  const proc = program.descriptor(procfs);
  program.about("", "take the host's procfs");
  program.call("copy", [proc], { into: entered.hostProc });
  program.do("umask", [0]);
  if (options.inUserNamespace)
    becomeRootOf(program, rootIds(options.config.linux ?? {}), { setsGroups: options.canSetGroups });
  program.about("", "open the container's root directory");
  program.call("openat", [AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0], { into: entered.root });
  return program;
}
