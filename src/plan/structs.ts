import { S_IFMT } from "../../bindings/abi/fcntl.ts";
import { mount_attr, open_how, statx } from "../../bindings/abi/layouts.ts";
import { type Data, data } from "../../bindings/stub/program.ts";

/** `struct open_how` of openat2(2). */
export function openHow(flags: number, mode: number, resolve: number): Data {
  const key = flags * RESOLVE_LIMIT + resolve;
  const known = mode === 0 ? knownHows.get(key) : undefined;
  if (known !== undefined) return known;
  const how = data(new Uint8Array(new Uint32Array([flags, 0, mode, 0, resolve, 0]).buffer));
  if (mode === 0) knownHows.set(key, how);
  return how;
}

/** A set-up opens about a hundred paths in four ways. The same Data serves all of them, and a program carries it once. */
const knownHows = new Map<number, Data>();
/** Above all RESOLVE_* bits. */
const RESOLVE_LIMIT = 0x100;

/** Size of `struct open_how`. */
export const OPEN_HOW_SIZE = open_how.size;

export interface MountAttributes {
  readonly set?: number;
  readonly clear?: number;
  /** One of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE. */
  readonly propagation?: number;
}

/** `struct mount_attr` of mount_setattr(2). */
export function mountAttr({ set = 0, clear = 0, propagation = 0 }: MountAttributes): Data {
  return data(
    new Uint8Array(new BigUint64Array([BigInt(set), BigInt(clear), BigInt(propagation), 0n]).buffer),
  );
}

/** Size of `struct mount_attr`: MOUNT_ATTR_SIZE_VER0. */
export const MOUNT_ATTR_SIZE = mount_attr.size;

/** Device number as mknod(2) takes it: makedev(3). */
export function makedev(major: bigint, minor: bigint): bigint {
  return ((major & ~0xfffn) << 32n) | ((major & 0xfffn) << 8n) | ((minor & ~0xffn) << 12n) | (minor & 0xffn);
}

/** Whether a `struct statx` describes a device node of this type (S_IFCHR or S_IFBLK) and number. */
export function isDeviceNode(stat: Uint8Array, type: number, major: bigint, minor: bigint): boolean {
  const view = new DataView(stat.buffer, stat.byteOffset, stat.length);
  return (
    (view.getUint16(statx.stx_mode, true) & S_IFMT) === type &&
    BigInt(view.getUint32(statx.stx_rdev_major, true)) === major &&
    BigInt(view.getUint32(statx.stx_rdev_minor, true)) === minor
  );
}

/** The mount ID in a `struct statx`, as in proc_pid_mountinfo(5); 0 if it was not asked for. */
export function mountId(stat: Uint8Array | undefined): bigint {
  if (stat === undefined) return 0n;
  return new DataView(stat.buffer, stat.byteOffset).getBigUint64(statx.stx_mnt_id, true);
}
