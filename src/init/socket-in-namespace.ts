import { NETLINK_ROUTE } from "../../bindings/abi/netlink.ts";
import { CLONE_NEWNET } from "../../bindings/abi/sched.ts";
import { AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW } from "../../bindings/abi/socket.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { receiveDescriptor } from "../../bindings/linux/receive-descriptor.ts";
import { channelPair } from "../../bindings/stub/client.ts";
import { sendDescriptor } from "../plan/send-descriptor.ts";
import { runProgram } from "./run-program.ts";
import { withStub } from "./with-stub.ts";

/**
 * Opens a NETLINK_ROUTE socket of another network namespace. A stub joins the namespace and makes the socket, so that no thread of the engine
 * enters a foreign namespace. It does so with the runtime's rights: the kernel asks for those of the socket's
 * maker too, and init has none in a namespace that belongs to another user namespace than its own.
 */
export function routeSocketIn(namespace: number, pointer: string): number {
  const [receiving, sending] = channelPair();
  try {
    return withStub((channel) => {
      const program = channel.program();
      program.about(pointer, "open a socket in the container's network namespace");
      program.do("setns", [program.descriptor(namespace), CLONE_NEWNET]);
      const socket = program.call("socket", [AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE]);
      const to = program.descriptor(sending);
      sendDescriptor(program, socket, { socket: to, text: "socket", path: "the runtime" });
      runProgram(channel, program);
      return receiveDescriptor(receiving);
    });
  } finally {
    for (const fd of [receiving, sending]) closeSync(fd);
  }
}
