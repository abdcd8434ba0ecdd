import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
} from "../../bindings/abi/fcntl.ts";
import { MNT_DETACH, MS_SLAVE, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from "../../bindings/abi/mount.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import type { HostFacts } from "./init-plan.ts";
import { copyFlags, kindOfSource } from "./mounts/mounts.ts";
import type { MountRequest } from "./mounts/requests.ts";
import { attach, openOrCreate, protectHostNode } from "./rootfs-paths.ts";
import { MOUNT_ATTR_SIZE, mountAttr } from "./structs.ts";

type SourceFacts = Pick<HostFacts, "isDirectory" | "linkTarget">;

/**
 * Makes the root in which criu restores a container: a mount that has the mount points of the container. This runs in criu's own mount
 * namespace, so that nothing of it shows or stays on the host.
 */
export function makeRestoreRoot(
  program: Program,
  facts: SourceFacts & Pick<HostFacts, "rootfs">,
  requests: readonly MountRequest[],
  root: string,
): void {
  const { rootfs } = facts;
  program.about("/root/path", `mount the root file system ${rootfs} for criu`);
  const propagation = mountAttr({ propagation: MS_SLAVE });
  program.do("mount_setattr", [AT_FDCWD, "/", AT_RECURSIVE, propagation, MOUNT_ATTR_SIZE], { path: "/" });
  const directory = O_PATH | O_DIRECTORY | O_CLOEXEC;
  const source = program.call("openat", [AT_FDCWD, rootfs, directory, 0]);
  const target = program.call("openat", [AT_FDCWD, root, directory, 0]);
  const tree = attachCopy(program, source, target, rootfs);
  makeMountPoints(program, tree, facts, requests);
  // criu mounts the container's mounts itself: those above only served to make mount points in them.
  program.about("/root/path", `mount the root file system ${rootfs} for criu`);
  program.do("umount2", [root, MNT_DETACH]);
  attachCopy(program, source, target, rootfs);
}

function attachCopy(program: Program, source: Register, target: Register, path: string): Register {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
  const tree = program.call("open_tree", [source, "", flags], { path });
  attach(program, tree, target, { path });
  return tree;
}

/** Makes mount points as `create` does, except in file systems that criu mounts and fills itself. */
function makeMountPoints(
  program: Program,
  tree: Register,
  facts: SourceFacts,
  requests: readonly MountRequest[],
): void {
  const restored: string[] = [];
  for (const request of requests) {
    const { destination, options, source, pointer, link } = request;
    if (options.remount || link !== undefined || restored.some((path) => destination.startsWith(`${path}/`)))
      continue;
    program.about(pointer, `make the mount point ${destination}`);
    const kind = options.bind ? kindOfSource(request, facts) : "directory";
    const { fd } = openOrCreate(program, tree, destination, kind, { noFollow: options.destinationNoFollow });
    if (options.bind) {
      const copy = program.call("open_tree", [AT_FDCWD, source, copyFlags(options)]);
      attach(program, copy, fd, { path: destination });
      program.do("close", [copy]);
    } else {
      restored.push(destination);
    }
    program.do("close", [fd]);
  }
}

/**
 * Makes the host's /dev/null read-only in criu's mount namespace. criu binds it over masked files, and of several mounts with the same root it
 * restores the flags of the first only; the others get those of the source.
 */
export function protectMaskSource(program: Program, maskedPaths: readonly string[]): void {
  if (maskedPaths.length === 0) return;
  const path = "/dev/null";
  program.about("/linux/maskedPaths", `make ${path} read-only for criu`);
  const target = program.call("openat", [AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0]);
  const copy = program.call("open_tree", [target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH], {
    path,
  });
  protectHostNode(program, copy, { path });
  attach(program, copy, target, { path });
  program.do("close", [copy]);
  program.do("close", [target]);
}
