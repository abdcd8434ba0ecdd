import { AT_EMPTY_PATH } from "../abi/fcntl.ts";
import { MOUNT_ATTR_RDONLY, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from "../abi/mount.ts";
import { cString, trySyscall } from "../ffi/syscall.ts";

/**
 * Makes a read-only mount of a directory that is attached nowhere, so that `..` can't lead out of it. Returns its descriptor, or undefined if
 * the caller may not mount. open_tree(2), mount_setattr(2)
 */
export function detachedReadonlyMount(directory: number): number | undefined {
  const path = cString("");
  const mount = trySyscall("open_tree", directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (mount < 0) return undefined;
  const attributes = new Uint8Array(new BigUint64Array([BigInt(MOUNT_ATTR_RDONLY), 0n, 0n, 0n]).buffer);
  // Errors are ignored: Linux before 5.12 has no such call, and a writable detached mount is better than none.
  trySyscall("mount_setattr", mount, path, AT_EMPTY_PATH, attributes, attributes.length);
  return mount;
}
