import { AT_EMPTY_PATH, AT_RECURSIVE } from "../abi/fcntl.ts";
import { mount_attr } from "../abi/layouts.ts";
import { MOUNT_ATTR_IDMAP } from "../abi/mount.ts";
import { cString, trySyscall } from "../ffi/syscall.ts";

/**
 * Gives a detached mount, and with `recursive` all mounts below it, the ID mappings of a user namespace. Returns 0 or the errno of a failure.
 * mount_setattr(2), MOUNT_ATTR_IDMAP
 */
export function mapMountIds(mount: number, userNamespace: number, recursive: boolean): number {
  const attributes = new Uint8Array(mount_attr.size);
  const view = new DataView(attributes.buffer);
  view.setBigUint64(mount_attr.attr_set, BigInt(MOUNT_ATTR_IDMAP), true);
  view.setBigUint64(mount_attr.userns_fd, BigInt(userNamespace), true);
  const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return -trySyscall("mount_setattr", mount, cString(""), flags, attributes, attributes.length);
}

/** Sets the propagation (MS_PRIVATE, …) of a mount and all mounts below it. Returns 0 or the errno of a failure. mount_setattr(2) */
export function setTreePropagation(mount: number, type: number): number {
  const attributes = new Uint8Array(mount_attr.size);
  new DataView(attributes.buffer).setBigUint64(mount_attr.propagation, BigInt(type), true);
  const flags = AT_EMPTY_PATH | AT_RECURSIVE;
  return -trySyscall("mount_setattr", mount, cString(""), flags, attributes, attributes.length);
}
