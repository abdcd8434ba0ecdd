import { CLONE_NEWNET } from "../../../bindings/abi/sched.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { pidfdOpen } from "../../../bindings/linux/pidfd.ts";
import { inNetworkOf } from "../../init/network-of.ts";
import type { SavedState } from "../record/saved-state.ts";

/**
 * Makes an end of the socket on which init waits for `start`. Whatever is executed in the container until then can see it, so it is of
 * the container's network namespace; unix(7): what init gets by accept(2) is of that of the end that connects. In a user namespace
 * nobody has rights over the host's network.
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
