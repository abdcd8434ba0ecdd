import { CLONE_NEWNET } from "../../../bindings/abi/sched.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { pidfdOpen } from "../../../bindings/linux/pidfd.ts";
import { inNetworkOf } from "../../init/network-of.ts";
import type { SavedState } from "../record/saved-state.ts";

/**
 * Makes an end of the socket on which init waits for `start`. Whatever is executed in the container until then can see the socket, so it
 * belongs to the container's network namespace. That holds for both ends: the socket that init gets by accept(2) belongs to the namespace
 * of the end that connects, unix(7). In a user namespace nobody has rights over the host's network.
 */
export function inNetworkOfInit<T>(
  { pid, ownNetworkNamespace, ownUserNamespace }: SavedState,
  make: () => T,
): T {
  const isOther = ownNetworkNamespace === true && !ownUserNamespace;
  const pidfd = isOther ? pidfdOpen(pid) : undefined;
  if (pidfd === undefined) return make();
  try {
    return inNetworkOf({ pidfd, flags: CLONE_NEWNET }, make);
  } finally {
    closeSync(pidfd);
  }
}
