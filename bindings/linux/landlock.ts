import { errnoName } from "../abi/errno.ts";
import { LANDLOCK_CREATE_RULESET_VERSION } from "../abi/landlock.ts";
import { trySyscall } from "../ffi/syscall.ts";

/** The Landlock of the running kernel. */
export interface KernelLandlock {
  /** Version of its ABI; 0 if there is none. */
  readonly abi: number;
  /** Why there is none: `ENOSYS` if the kernel lacks Landlock or a filter hides it, `EOPNOTSUPP` if it was not enabled at boot. */
  readonly errno: string | undefined;
}

/** landlock_create_ruleset(2): `landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)`. */
export function kernelLandlock(): KernelLandlock {
  const result = trySyscall("landlock_create_ruleset", null, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return result < 0 ? { abi: 0, errno: errnoName(-result) } : { abi: result, errno: undefined };
}
