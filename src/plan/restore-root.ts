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
 * Makes the root that criu restores a container in: it has to be a mount, and it has to have the places that the container's mounts
 * go to. This runs in a mount namespace of criu's own, so that nothing of it is ever seen on the host, nor left there.
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
  // What was mounted to make places in it is criu's to mount.
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

/** criu fills the file systems that it mounts itself; all other places are made as `create` makes them. */
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
 * Makes the host's /dev/null read-only for criu, which binds it over masked files: of several mounts with the same root it gives only
 * the first the flags that it had, and the others have those of the source. In criu's mount namespace, as above.
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
