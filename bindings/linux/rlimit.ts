import { rlimitNumber } from "../abi/resource.ts";
import { syscall } from "../ffi/syscall.ts";

export interface Rlimit {
  readonly soft: bigint;
  readonly hard: bigint;
}

/** int prlimit(pid_t pid, int resource, const struct rlimit *new, struct rlimit *old): sets a limit, returns what it was. prlimit(2) */
export function prlimit(pid: number, resource: string, limit?: Rlimit): Rlimit {
  const old = new BigUint64Array(2);
  const wanted =
    limit === undefined ? null : new Uint8Array(new BigUint64Array([limit.soft, limit.hard]).buffer);
  syscall("prlimit64", [pid, rlimitNumber(resource) ?? -1, wanted, new Uint8Array(old.buffer)], [resource]);
  return { soft: old[0] ?? 0n, hard: old[1] ?? 0n };
}
