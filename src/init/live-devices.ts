import { ENOENT, errnoMessage, errnoName } from "../../bindings/abi/errno.ts";
import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  S_IFBLK,
  S_IFCHR,
  S_IFMT,
  S_IFREG,
  STATX_ATTR_MOUNT_ROOT,
  STATX_BASIC_STATS,
  STATX_MNT_ID,
} from "../../bindings/abi/fcntl.ts";
import { statx } from "../../bindings/abi/layouts.ts";
import { MNT_DETACH } from "../../bindings/abi/mount.ts";
import { mountsOf } from "../../bindings/linux/mount-info.ts";
import { basename, dirname } from "../../bindings/linux/paths.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import { RuntsError } from "../errors.ts";
import { attach, components, openInRoot } from "../plan/rootfs-paths.ts";
import { isDeviceNode, makedev, mountId } from "../plan/structs.ts";
import { type Entered, enter, type LiveMountsOptions } from "./live-mounts.ts";
import { runProgram } from "./run-program.ts";

/**
 * Makes and removes device nodes in a container that runs. Its processes may change the directories meanwhile. So a path must not lead through
 * a symbolic link, which could lead to a volume of the host; and what is changed is changed by a descriptor that has been looked at.
 */

/** A device, and its path in the container. */
export interface LiveDevice {
  readonly path: string;
  readonly type: "b" | "c";
  readonly major: number;
  readonly minor: number;
}

/** Mode and owner of a node, as ids on the host. */
export interface NodeRights {
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What is at the path of a device. */
export interface Place {
  /** Whether the device is there already. */
  readonly isThere: boolean;
  /** Directories above it that are missing, from the top down. */
  readonly missing: readonly string[];
  /** Whether a node there could not be opened: it would be on a mount with nodev. */
  readonly isNodev: boolean;
}

const FILE_TYPES = { c: S_IFCHR, b: S_IFBLK } as const;

/** Changes devices by a stub in the container's mount namespace. */
export class DeviceMaker {
  readonly #channel: StubChannel;
  readonly #entered: Entered;
  readonly #pid: number;

  constructor(channel: StubChannel, options: LiveMountsOptions) {
    this.#channel = channel;
    this.#pid = options.pid;
    this.#entered = { root: channel.registers.take(), hostProc: channel.registers.take() };
    enter(channel, this.#entered, options);
  }

  /** Looks at the place of a device. Throws EEXIST if something else is there, and ELOOP for a path through a symbolic link. */
  look(device: LiveDevice): Place {
    try {
      return this.#look(device);
    } catch (error) {
      if (!(error instanceof RuntsError) || error.errno !== "ELOOP") throw error;
      const { path } = device;
      const message = `${path} leads through a symbolic link of the container: name the path where it leads to`;
      throw new RuntsError(message, { operation: "openat2", errno: "ELOOP", path, cause: error });
    }
  }

  #look(device: LiveDevice): Place {
    const { path } = device;
    const found = this.#open(path, `look at ${path}`, ["ENOENT"]);
    if (found !== undefined) {
      this.#close(found.fd);
      if (isDevice(found.stat, device)) return { isThere: true, missing: [], isNodev: false };
      throw exists(device);
    }
    const names = components(path).slice(0, -1);
    const above = names.map((_, index) => `/${names.slice(0, index + 1).join("/")}`);
    const program = this.#program(`look at the directories above ${path}`);
    const opened = above.map((directory) => {
      const index = program.operations.length;
      const fd = this.#openAt(program, this.#entered.root, directory, {
        flags: O_DIRECTORY,
        tolerate: ["ENOENT"],
      });
      program.do("close", [fd], { if: [fd, "positive"] });
      return index;
    });
    const { results } = this.#run(program);
    const missing = above.filter((_, index) => (results[opened[index] ?? -1] ?? 0) < 0);
    return { isThere: false, missing, isNodev: this.#isNodev(dirname(missing[0] ?? path)) };
  }

  #isNodev(directory: string): boolean {
    const found = this.#open(directory, `look at ${directory}`, []);
    if (found === undefined) return false;
    this.#close(found.fd);
    const id = mountId(found.stat);
    const mount = mountsOf(this.#pid).find((entry) => BigInt(entry.id) === id);
    return mount?.options.includes("nodev") === true;
  }

  /**
   * Makes a node, and the directories that are missing above it. Until it has its owner and mode nobody but root can open it, since it has no
   * permissions.
   */
  makeNode(device: LiveDevice, { mode, uid, gid }: NodeRights, missing: readonly string[]): void {
    const { path, type, major, minor } = device;
    const name = basename(path);
    const program = this.#program(`make device ${path}`);
    const parent = this.#makeParent(program, path, missing);
    program.do("mknodat", [parent, name, FILE_TYPES[type], makedev(BigInt(major), BigInt(minor))], { path });
    const opened = program.operations.length;
    const node = openInRoot(program, parent, name, { noSymlinks: true, path });
    const stat = program.output(statx.size);
    program.do("statx", [node, "", AT_EMPTY_PATH, STATX_BASIC_STATS, stat], { path });
    program.do("close", [parent]);
    const { results, outputs } = this.#run(program);
    if (!isDevice(outputs[0], device)) throw exists(device);
    const finish = this.#program(`make device ${path}`);
    finish.do("fchownat", [node, "", uid, gid, AT_EMPTY_PATH], { path });
    // fchmod(2) takes no descriptor of O_PATH. The magic link is that of the host's procfs.
    finish.do("fchmodat", [this.#entered.hostProc, `self/fd/${results[opened] ?? -1}`, mode], { path });
    finish.do("close", [node]);
    this.#run(finish);
  }

  /** Attaches a detached mount of a node to a new, empty file, where the container may not make nodes. */
  attachNode(device: LiveDevice, mount: number, missing: readonly string[]): void {
    const { path } = device;
    const name = basename(path);
    const program = this.#program(`bind device ${path}`);
    const source = program.descriptor(mount);
    const parent = this.#makeParent(program, path, missing);
    const flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    program.do("close", [program.call("openat", [parent, name, flags, 0o644], { path })]);
    const target = openInRoot(program, parent, name, { noSymlinks: true, path });
    attach(program, source, target, { path });
    for (const fd of [source, target, parent]) program.do("close", [fd]);
    this.#run(program);
  }

  /**
   * Removes a node. Returns why it is left, or undefined if it is gone: the container may have put something else there, which is not ours,
   * or may keep us from removing it.
   */
  removeNode(device: LiveDevice): string | undefined {
    const { path } = device;
    const found = this.#open(path, `look at ${path}`, NOT_THERE);
    if (found === undefined) return undefined;
    this.#close(found.fd);
    if (!isDevice(found.stat, device)) return "something else is there now";
    if (isMountRoot(found.stat)) return "something is mounted on it";
    return this.#unlink(path);
  }

  /** Unmounts a node and removes the file that it was attached to. Returns as `removeNode` does. */
  detachNode(device: LiveDevice): string | undefined {
    const { path } = device;
    const found = this.#open(path, `look at ${path}`, NOT_THERE);
    if (found === undefined) return undefined;
    const isOurs = isDevice(found.stat, device) && isMountRoot(found.stat);
    const id = mountId(found.stat);
    if (isOurs && mountsOf(this.#pid).some((mount) => BigInt(mount.id) === id && mount.point === path)) {
      const program = this.#program(`unmount ${path}`);
      program.do("fchdir", [this.#entered.hostProc], { path: "/proc" });
      program.do("umount2", [`self/fd/${found.number}`, MNT_DETACH], { path });
      program.do("close", [found.fd]);
      this.#run(program);
    } else this.#close(found.fd);
    const below = this.#open(path, `look at ${path}`, NOT_THERE);
    if (below === undefined) return undefined;
    this.#close(below.fd);
    return isEmptyFile(below.stat) && !isMountRoot(below.stat)
      ? this.#unlink(path)
      : "something else is there now";
  }

  /** Removes directories that were made for a device, if they are still there and the container has put nothing else into them. */
  removeDirectories(directories: readonly string[]): void {
    for (const directory of directories.toReversed()) {
      const program = this.#program(`remove ${directory}`);
      const parent = this.#openAt(program, this.#entered.root, dirname(directory), {
        flags: O_DIRECTORY,
        tolerate: NOT_THERE,
      });
      program.do("unlinkat", [parent, basename(directory), AT_REMOVEDIR], {
        if: [parent, "positive"],
        tolerate: ["ENOTEMPTY", "ENOENT", "EBUSY"],
        path: directory,
      });
      program.do("close", [parent], { if: [parent, "positive"] });
      this.#run(program);
    }
  }

  /** The container can exchange the file until the last moment, and loses no other file than one that it puts at this path itself. */
  #unlink(path: string): string | undefined {
    const program = this.#program(`remove ${path}`);
    const parent = this.#openAt(program, this.#entered.root, dirname(path), { flags: O_DIRECTORY });
    const at = program.operations.length;
    // The container can bring these about, by a mount on the node or by a read-only one above it.
    program.do("unlinkat", [parent, basename(path), 0], { path, tolerate: ["EBUSY", "EROFS", "ENOENT"] });
    program.do("close", [parent]);
    const result = this.#run(program).results[at] ?? 0;
    return result >= 0 || result === -ENOENT ? undefined : errnoMessage(errnoName(-result));
  }

  /** Opens the directory of a path, and makes those directories that are missing. */
  #makeParent(program: Program, path: string, missing: readonly string[]): Register {
    const existing = dirname(missing[0] ?? path);
    let parent = this.#openAt(program, this.#entered.root, existing, { flags: O_DIRECTORY });
    for (const directory of missing) {
      const name = basename(directory);
      program.do("mkdirat", [parent, name, 0o755], { path: directory });
      const made = this.#openAt(program, parent, name, { flags: O_DIRECTORY, path: directory });
      program.do("close", [parent]);
      parent = made;
    }
    return parent;
  }

  #openAt(
    program: Program,
    from: Register,
    path: string,
    options: { readonly flags?: number; readonly tolerate?: readonly string[]; readonly path?: string },
  ): Register {
    return openInRoot(program, from, path, { path, ...options, noSymlinks: true });
  }

  /** Opens a path and looks at it. Returns undefined for a tolerated error. */
  #open(path: string, purpose: string, tolerate: readonly string[]): Opened | undefined {
    const program = this.#program(purpose);
    const fd = this.#openAt(program, this.#entered.root, path, { tolerate });
    const stat = program.output(statx.size);
    program.do("statx", [fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, stat], {
      if: [fd, "ok"],
      path,
    });
    const { results, outputs } = this.#run(program);
    const [number = -1] = results;
    return number < 0 ? undefined : { fd, number, stat: outputs[0] ?? new Uint8Array(statx.size) };
  }

  #close(fd: Register): void {
    const program = this.#program("close what was looked at");
    program.do("close", [fd]);
    this.#run(program);
  }

  #program(purpose: string): Program {
    return this.#channel.program().about("", purpose);
  }

  #run(program: Program) {
    return runProgram(this.#channel, program);
  }
}

/** An open file of the container. */
interface Opened {
  readonly fd: Register;
  /** Its number in the stub. */
  readonly number: number;
  /** Its `struct statx`. */
  readonly stat: Uint8Array;
}

/** Errors of a path that does not lead to what was made: it is gone, or the container has replaced a directory. */
const NOT_THERE = ["ENOENT", "ENOTDIR", "ELOOP"];

function isDevice(stat: Uint8Array | undefined, { type, major, minor }: LiveDevice): boolean {
  return stat !== undefined && isDeviceNode(stat, FILE_TYPES[type], BigInt(major), BigInt(minor));
}

function viewOf(stat: Uint8Array): DataView {
  return new DataView(stat.buffer, stat.byteOffset, stat.length);
}

function isMountRoot(stat: Uint8Array): boolean {
  return (viewOf(stat).getBigUint64(statx.stx_attributes, true) & BigInt(STATX_ATTR_MOUNT_ROOT)) !== 0n;
}

function isEmptyFile(stat: Uint8Array): boolean {
  const view = viewOf(stat);
  const isFile = (view.getUint16(statx.stx_mode, true) & S_IFMT) === S_IFREG;
  return isFile && view.getBigUint64(statx.stx_size, true) === 0n;
}

function exists({ path, type, major, minor }: LiveDevice): RuntsError {
  const message = `${path} exists in the container and is not the device ${type} ${major}:${minor}`;
  return new RuntsError(message, { operation: "mknodat", errno: "EEXIST", path });
}
