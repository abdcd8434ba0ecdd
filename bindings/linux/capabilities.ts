import { _LINUX_CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH } from "../abi/capability.ts";
import { syscall } from "../ffi/syscall.ts";

/** Two struct __user_cap_data_struct, for the low and the high 32 capabilities; each has the effective, permitted and inheritable set. */
const DATA_SIZE = 24;

/** Runs an action without the capabilities that override file permissions. Only this thread gives them up. capset(2) */
export function withoutFileCapabilities<T>(action: () => T): T {
  const header = new Uint8Array(Uint32Array.of(_LINUX_CAPABILITY_VERSION_3, 0).buffer);
  const own = new Uint8Array(DATA_SIZE);
  syscall("capget", [header, own]);
  const fewer = Uint8Array.from(own);
  const view = new DataView(fewer.buffer);
  view.setUint32(0, view.getUint32(0, true) & ~((1 << CAP_DAC_OVERRIDE) | (1 << CAP_DAC_READ_SEARCH)), true);
  syscall("capset", [header, fewer]);
  try {
    return action();
  } finally {
    syscall("capset", [header, own]);
  }
}
