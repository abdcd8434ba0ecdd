import { ENOSYS, EOPNOTSUPP, EPERM, errnoName } from "../abi/errno.ts";
import { LANDLOCK_CREATE_RULESET_VERSION } from "../abi/landlock.ts";
import { trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

/** The Landlock of the running kernel. */
export interface KernelLandlock {
  /** Version of its ABI; 0 if there is none. */
  readonly abi: number;
  /**
   * Why there is none: `ENOSYS` if the kernel was built without it, `EOPNOTSUPP` if it was booted without it. A seccomp filter around the
   * runtime answers with `ENOSYS` or `EPERM`.
   */
  readonly errno: string | undefined;
}

const NONE: readonly number[] = [ENOSYS, EOPNOTSUPP, EPERM];

/** landlock_create_ruleset(2), LANDLOCK_CREATE_RULESET_VERSION. Throws SyscallError for an errno that does not tell. */
export function kernelLandlock(): KernelLandlock {
  const result = trySyscall("landlock_create_ruleset", null, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (result >= 0) return { abi: result, errno: undefined };
  const errno = errnoName(-result);
  if (NONE.includes(-result)) return { abi: 0, errno };
  throw new SyscallError("landlock_create_ruleset", errno);
}
