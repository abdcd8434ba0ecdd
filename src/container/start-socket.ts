import { CLONE_NEWNET } from "../../bindings/abi/sched.ts";
import { closeSync, readlinkSync } from "../../bindings/linux/files.ts";
import { pidfdOpen } from "../../bindings/linux/pidfd.ts";
import { connectUnix, listenUnix } from "../../bindings/linux/unix-socket.ts";
import { inNetworkOf } from "../init/network-of.ts";

/**
 * The socket on which init waits for `start`. Whatever is executed in the container until then can see it, so it is of the container's
 * network namespace.
 */
export function listenForStart(path: string, init: number): number {
  return inNetworkOfInit(init, () => listenUnix(path));
}

/** unix(7): the other end, which init gets by accept(2), is of the network namespace of the one that connects. */
export function connectForStart(path: string, init: number): number {
  return inNetworkOfInit(init, () => connectUnix(path));
}

function inNetworkOfInit<T>(init: number, make: () => T): T {
  const pidfd = isInAnotherNetwork(init) ? pidfdOpen(init) : undefined;
  if (pidfd === undefined) return make();
  try {
    return inNetworkOf({ pidfd, flags: CLONE_NEWNET }, make);
  } finally {
    closeSync(pidfd);
  }
}

/** Of the same user namespace: in another one nobody has rights over the host's network. Who may not look may not join either. */
function isInAnotherNetwork(init: number): boolean {
  const isSame = (name: string) =>
    readlinkSync(`/proc/self/ns/${name}`) === readlinkSync(`/proc/${init}/ns/${name}`);
  try {
    return isSame("user") && !isSame("net");
  } catch {
    return false;
  }
}
