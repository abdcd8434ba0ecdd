import { AT_EMPTY_PATH } from "../abi/fcntl.ts";
import { MOUNT_ATTR_RDONLY, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from "../abi/mount.ts";
import { cString, trySyscall } from "../ffi/syscall.ts";

/**
 * int open_tree(int dfd, const char *path, unsigned flags) and mount_setattr(2): a read-only mount of a directory, attached
 * nowhere, so that `..` leads nowhere from there. undefined where the caller may not mount. open_tree(2)
 */
export function detachedReadonlyMount(directory: number): number | undefined {
  const path = cString("");
  const mount = trySyscall("open_tree", directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (mount < 0) return undefined;
  const attributes = new Uint8Array(new BigUint64Array([BigInt(MOUNT_ATTR_RDONLY), 0n, 0n, 0n]).buffer);
  // Before Linux 5.12 there is no such call: writable is still better than attached.
  trySyscall("mount_setattr", mount, path, AT_EMPTY_PATH, attributes, attributes.length);
  return mount;
}
