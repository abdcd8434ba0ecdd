import { AT_EMPTY_PATH } from "../abi/fcntl.ts";
import {
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MS_PRIVATE,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
} from "../abi/mount.ts";
import { cString, syscall, trySyscall } from "../ffi/syscall.ts";
import { OwnedDescriptor } from "./owned-descriptor.ts";

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

/**
 * Makes a mount of an open device node that is attached nowhere. It is read-only, so that nobody can change the node's mode, owner or times;
 * the device can still be written to. It is private, so that what is mounted on it in a container does not show on the host. `name` is
 * the node's path, for errors.
 */
export function detachedNodeMount(node: number, name: string): OwnedDescriptor {
  const path = cString("");
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
  const mount = new OwnedDescriptor(syscall("open_tree", [node, path, flags], [name]));
  try {
    const set = BigInt(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    const attributes = new Uint8Array(new BigUint64Array([set, 0n, BigInt(MS_PRIVATE), 0n]).buffer);
    const args = [mount.number, path, AT_EMPTY_PATH, attributes, attributes.length];
    syscall("mount_setattr", args, [name]);
    return mount;
  } catch (error) {
    mount.close();
    throw error;
  }
}
