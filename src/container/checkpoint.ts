import { F_GETFL, O_ACCMODE, O_RDONLY, S_IFMT } from "../../bindings/abi/fcntl.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { trySyscall } from "../../bindings/ffi/syscall.ts";
import { fstatSync, statSync } from "../../bindings/linux/file-status.ts";
import { closeSync, writeFileSync, writeSync } from "../../bindings/linux/files.ts";
import { type MountInfo, mountsOf } from "../../bindings/linux/mount-info.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { externalAtDump } from "../criu/external-mounts.ts";
import type { CriuOptions, CriuVersion } from "../criu/messages.ts";
import { RuntsError } from "../errors.ts";
import { namespacesOf } from "../plan/init-plan.ts";
import { mountRequests } from "../plan/mounts/requests.ts";
import { readValidConfig } from "../spec/config.ts";
import type { Config } from "../spec/types.ts";
import type { GlobalOptions } from "./context.ts";
import { hostFacts } from "./create/host-facts.ts";
import type { CheckpointOptions } from "./criu/options.ts";
import { CriuProcess } from "./criu/process.ts";
import {
  CriuFiles,
  containerMounts,
  EXTERNAL_NAMESPACES,
  inodeOf,
  refuseUnsaved,
  warnUnprivileged,
} from "./criu/session.ts";
import { DESCRIPTORS_FILE, standardStreams } from "./criu/streams.ts";
import { deleteContainer } from "./delete.ts";
import { lockMounts, withLockedContainer } from "./record/lock.ts";
import { checkId, containerDirectory, type SavedState } from "./record/saved-state.ts";
import type { Status } from "./record/status.ts";

/**
 * Saves the state of all processes of a container to image files, by criu. The container ends with it and is deleted, unless it
 * shall run on, or only its memory is dumped beforehand.
 */
export function checkpointContainer(context: GlobalOptions, options: CheckpointOptions): void {
  const { id } = options;
  checkId(id);
  checkStatusFd(options);
  warnUnprivileged(context, "checkpoint");
  const mountsLock = lockMounts(containerDirectory(context.root, id), id);
  try {
    withLockedContainer(context, id, ({ directory, saved, status }) => {
      checkStatus(id, status);
      refuseAddedDevices(saved);
      checkParent(options);
      dump(context, directory, saved, options);
    });
  } finally {
    mountsLock?.release();
  }
  if (!options.leaveRunning && !options.preDump) deleteContainer(context, id, { force: true });
}

/** The words are runc's. */
function checkStatus(id: string, status: Status): void {
  if (status === "running" || status === "paused") return;
  throw new RuntsError(`container cannot be checkpointed in ${status} state`, {
    operation: "checkpoint",
    path: id,
  });
}

/** A restore makes the devices and the device rules of its bundle's config. The restored processes would find a node that they may not use. */
function refuseAddedDevices({ id, devices = [] }: SavedState): void {
  const [device] = devices;
  if (device === undefined) return;
  const message = `${device.path} was added to container ${id} while it ran, and would not be restored: remove it first (devices remove)`;
  throw new RuntsError(message, { operation: "checkpoint", path: device.path });
}

function checkParent({ imagePath, parentPath }: CheckpointOptions): void {
  if (parentPath === undefined) return;
  const refuse = (reason: string) => {
    throw new RuntsError(reason, { operation: "checkpoint", path: parentPath });
  };
  if (parentPath.startsWith("/")) refuse("--parent-path must be relative");
  const isThere = statSync(imagePath, { throwIfNoEntry: false }) !== undefined;
  // The image directory may not exist yet, and then `..` can't be looked up through it.
  const path = isThere ? `${imagePath}/${parentPath}` : absolutePath(`${imagePath}/${parentPath}`);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
    refuse(`invalid --parent-path: ${path} is no directory with images`);
}

/** Called before the runtime opens its own descriptors, which could have this number. */
function checkStatusFd({ statusFd }: CheckpointOptions): void {
  if (statusFd === undefined) return;
  const flags = isEngines(statusFd) ? -1 : trySyscall("fcntl", statusFd, F_GETFL);
  const problem =
    flags < 0 ? "it is not open" : (flags & O_ACCMODE) === O_RDONLY ? "it is not writable" : undefined;
  if (problem === undefined) return;
  throw new RuntsError(`invalid --status-fd argument ${statusFd}: ${problem}`, {
    operation: "fcntl",
    errno: "EBADF",
    path: String(statusFd),
  });
}

/**
 * Whether a descriptor belongs to the JavaScript engine. By now it has only epoll and eventfd open: anonymous inodes, without a file type.
 */
function isEngines(fd: number): boolean {
  try {
    return (fstatSync(fd).mode & S_IFMT) === 0;
  } catch {
    return false; // It is not open.
  }
}

function dump(
  context: GlobalOptions,
  directory: string,
  saved: SavedState,
  options: CheckpointOptions,
): void {
  const config = readValidConfig(directory);
  refuseUnsaved("checkpoint", config);
  const files = new CriuFiles(options, "dump.log");
  files.make({ withImages: true });
  const criu = new CriuProcess({
    program: context.criu,
    inheritsStdio: false,
    cgroup: undefined,
    directories: files.directories,
    descriptors: [],
    streams: [],
  });
  try {
    const version = criu.version();
    if (options.preDump) criu.require("memTrack");
    if (options.lazyPages) criu.require("lazyPages");
    const mounts = mountsOf(saved.pid);
    const streams = standardStreams(saved, mounts, options.shellJob);
    if (!options.preDump)
      withPurpose("", "write the names of the standard streams", () =>
        writeFileSync(`${options.imagePath}/${DESCRIPTORS_FILE}`, JSON.stringify(streams.names), {
          mode: 0o600,
        }),
      );
    const request = {
      ...files.options(config, criu.directories),
      ...dumpOptions(saved, options, version),
      root: saved.rootfs,
      external: [
        ...externalNamespaces(config, saved, version),
        ...(options.preDump ? [] : streams.external),
        ...(options.preDump ? [] : externalMounts(context, config, saved, mounts)),
      ],
    };
    context.log.debug(`criu ${version.text}: ${JSON.stringify(request)}`);
    files.run(criu, options.preDump ? "PRE_DUMP" : "DUMP", request, (script) => {
      if (script === "status-ready") reportReady(options.statusFd);
    });
  } finally {
    criu.end();
  }
}

function dumpOptions(
  saved: SavedState,
  options: CheckpointOptions,
  version: CriuVersion,
): Partial<CriuOptions> {
  const { parentPath, pageServer, statusFd } = options;
  return {
    pid: saved.pid,
    leaveRunning: options.leaveRunning,
    tcpSkipInFlight: options.tcpSkipInFlight,
    linkRemap: options.linkRemap,
    ...(pageServer !== undefined && { pageServer }),
    ...(parentPath !== undefined && { parentImage: parentPath, trackMemory: true }),
    // The freezer of cgroup v2 is known since 3.14; before, each process is stopped for itself.
    ...(saved.cgroup !== "" && version.number >= 31400 && { freezeCgroup: saved.cgroup }),
    // Since 3.15 criu says by a notification that lazy pages can be fetched.
    ...(options.lazyPages && statusFd !== undefined && version.number < 31500 && { statusFd }),
  };
}

/** Writes a byte, and closes the descriptor: the reader waits for the end of the stream, too. */
function reportReady(statusFd: number | undefined): void {
  if (statusFd === undefined) return;
  withPurpose("", "tell the caller that lazy pages can be fetched", () =>
    writeSync(statusFd, Uint8Array.of(0)),
  );
  closeSync(statusFd);
}

/** A namespace that is joined by path is somebody else's: it isn't saved, and has to be there at a restore. */
function externalNamespaces(config: Config, { pid }: SavedState, version: CriuVersion): string[] {
  const { joined } = namespacesOf(config);
  const external: string[] = [];
  for (const name of ["network", "pid"] as const) {
    const namespace = joined.get(name);
    if (namespace === undefined) continue;
    const { type, key, criu } = EXTERNAL_NAMESPACES[name];
    if (version.number < criu) {
      throw new RuntsError(
        `${namespace.pointer}: criu ${version.text} is too old for a ${name} namespace that is joined by path`,
        { operation: "checkpoint", path: namespace.path, pointer: namespace.pointer },
      );
    }
    external.push(`${type}[${inodeOf(`/proc/${pid}/ns/${type}`)}]:${key}`);
  }
  return external;
}

function externalMounts(
  { log }: GlobalOptions,
  config: Config,
  saved: SavedState,
  mounts: readonly MountInfo[],
): string[] {
  const warn = (message: string) => log.debug(message);
  const { bundle, rootfs, cgroup } = saved;
  const facts = hostFacts({ bundle, rootfs, cgroup, mountLabel: "", inUserNamespace: false, warn });
  const container = containerMounts(config, mountRequests({ config, facts }));
  return externalAtDump(container, mounts);
}
