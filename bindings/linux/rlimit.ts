import { rlimitNumber } from "../abi/resource.ts";
import { syscall } from "../ffi/syscall.ts";

export interface Rlimit {
  readonly soft: bigint;
  readonly hard: bigint;
}

/** Sets a limit of a process, if one is given, and returns the previous one. `resource` is a name such as `RLIMIT_NOFILE`. prlimit(2) */
export function prlimit(pid: number, resource: string, limit?: Rlimit): Rlimit {
  const old = new BigUint64Array(2);
  const wanted =
    limit === undefined ? null : new Uint8Array(new BigUint64Array([limit.soft, limit.hard]).buffer);
  syscall("prlimit64", [pid, rlimitNumber(resource) ?? -1, wanted, new Uint8Array(old.buffer)], [resource]);
  return { soft: old[0] ?? 0n, hard: old[1] ?? 0n };
}
