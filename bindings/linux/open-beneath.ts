import { shownName } from "../abi/c-string.ts";
import { EAGAIN, errnoName } from "../abi/errno.ts";
import {
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../abi/fcntl.ts";
import { open_how } from "../abi/layouts.ts";
import { cString, trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

const MAX_ATTEMPTS = 1000;

/**
 * Opens a path below a directory, on the same mount and without symbolic links. A concurrent rename or mount anywhere on the host may make
 * openat2(2) fail with EAGAIN; then it is called again.
 */
export function openBeneath(directory: number, path: string | Uint8Array, flags: number): number {
  const resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return openat2(directory, path, flags, resolve);
}

/** Opens a path with a directory as its root: neither symbolic links nor `..` lead out of it. */
export function openInRoot(root: number, path: string, flags: number): number {
  return openat2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/** int openat2(int dirfd, const char *path, const struct open_how *how, size_t size) */
function openat2(directory: number, path: string | Uint8Array, flags: number, resolve: number): number {
  const how = new Uint8Array(new Uint32Array([flags, 0, 0, 0, resolve, 0]).buffer);
  const name = cString(path);
  let result: number;
  let attempts = 0;
  do result = trySyscall("openat2", directory, name, how, open_how.size);
  while (result === -EAGAIN && ++attempts < MAX_ATTEMPTS);
  if (result < 0) throw new SyscallError("openat2", errnoName(-result), [shownName(path)]);
  return result;
}
