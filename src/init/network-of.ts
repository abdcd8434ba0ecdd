import { O_CLOEXEC, O_RDONLY } from "../../bindings/abi/fcntl.ts";
import { CLONE_NEWNET, CLONE_NEWUSER } from "../../bindings/abi/sched.ts";
import { syscall, trySyscall } from "../../bindings/ffi/syscall.ts";
import { openSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";

/** A process whose namespaces are joined. */
export interface Joined {
  readonly pidfd: number;
  /** The CLONE_NEW* flags of the namespaces that differ from the runtime's. */
  readonly flags: number;
}

/**
 * Makes sockets that a process in sight of the container will hold. A socket belongs to the network namespace that it was made in, and
 * SIOCGSKNS gives that namespace to whoever may administrate it. A container with CAP_NET_ADMIN and CAP_SYS_PTRACE, and without a user
 * namespace, would get the host's, through a copy of the descriptor (pidfd_getfd(2)). So this thread enters the container's meanwhile.
 * In a user namespace nobody has rights over the host's.
 */
export function inNetworkOf<T>({ pidfd, flags }: Joined, make: () => T): T {
  if ((flags & CLONE_NEWNET) === 0 || (flags & CLONE_NEWUSER) !== 0) return make();
  const own = new OwnedDescriptor(openSync("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  try {
    // A runtime that may not come back, as one in a user namespace, has no rights over its own network: nor has its container.
    if (trySyscall("setns", own.number, CLONE_NEWNET) < 0) return make();
    syscall("setns", [pidfd, CLONE_NEWNET], ["the container's network namespace"]);
    try {
      return make();
    } finally {
      syscall("setns", [own.number, CLONE_NEWNET], ["the runtime's network namespace"]);
    }
  } finally {
    own.close();
  }
}
