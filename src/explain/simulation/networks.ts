import { nulTerminated } from "../../../bindings/abi/c-string.ts";
import { errnoNumber } from "../../../bindings/abi/errno.ts";
import { ifaddrmsg, ifinfomsg, msghdr, nlmsgerr, nlmsghdr } from "../../../bindings/abi/layouts.ts";
import {
  IFLA_IFNAME,
  IFLA_NET_NS_FD,
  IFLA_NEW_IFINDEX,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_SETLINK,
} from "../../../bindings/abi/netlink.ts";
import { AF_NETLINK } from "../../../bindings/abi/socket.ts";
import { copyMemory, type NativeArgument } from "../../../bindings/ffi/koffi.ts";
import { onKernel, type SyscallName } from "../../../bindings/ffi/syscall.ts";
import {
  type Attributes,
  attributesIn,
  encodeMessage,
  type Message,
  messagesIn,
  numberIn,
  RouteSocket,
  textOf,
  withAttributes,
} from "../../../bindings/linux/netlink.ts";
import { rightsMessage } from "../../../bindings/stub/client.ts";
import type { Names } from "../names.ts";
import { bytesOf } from "../native.ts";
import { routeRequestText } from "../route-text.ts";
import { type Link, linkBody, SimulatedNamespace } from "./namespace.ts";

interface RouteSocketEnd {
  readonly fd: number;
  readonly namespace: SimulatedNamespace;
  /** Datagrams that are not received yet. */
  readonly answers: Uint8Array[];
}

/** An errno name, empty for a success, and the kernel's own words. */
type Outcome = readonly [errno: string, words?: string];

/**
 * The network namespaces of host and container, by way of NETLINK_ROUTE sockets. Questions are put to the real kernel; what would
 * change something is reported, and seems to be done from then on.
 */
export class SimulatedNetworks {
  readonly #names: Names;
  readonly #pathOf: (fd: number) => string | undefined;
  readonly #sockets = new Map<number, RouteSocketEnd>();
  #host: SimulatedNamespace | undefined;
  /** The namespace that the container will be in. */
  container = new SimulatedNamespace();
  /** Whether create would have the right to: CAP_NET_ADMIN. */
  mayChange = true;
  /** Told of a request that would change something: the arguments of sendto(2), as text. */
  onChange: (args: readonly string[]) => void = () => undefined;
  /** A socket that the stub has sent, and nobody has received yet. */
  #sent: number | undefined;

  constructor(names: Names, pathOf: (fd: number) => string | undefined) {
    this.#names = names;
    this.#pathOf = pathOf;
  }

  /** Result of a system call; undefined for those that have nothing to do with this. */
  answer(call: SyscallName, args: readonly NativeArgument[]): number | undefined {
    if (call === "socket") return args[0] === AF_NETLINK ? this.#openOnHost() : undefined;
    if (call === "recvmsg") return this.#handOver(bytesOf(args[1]));
    const socket = this.#sockets.get(Number(args[0]));
    if (socket === undefined) return undefined;
    if (call === "sendto") return this.#request(socket, bytesOf(args[1]));
    if (call === "recvfrom") return receive(socket, bytesOf(args[1]));
    if (call === "close") this.#sockets.delete(socket.fd);
    return 0;
  }

  /** For the stub, which sends the socket to the runtime. */
  openInContainer(): number {
    this.#sent = this.#open("route socket of the container", this.container);
    return this.#sent;
  }

  /** Takes a descriptor that the stub sends to the runtime, unless it is that of a socket from here. */
  handOver(descriptor: () => number): void {
    this.#sent ??= descriptor();
  }

  close(): void {
    this.#host?.close();
    this.container.close();
  }

  #openOnHost(): number {
    this.#host ??= onKernel(() => new SimulatedNamespace(new RouteSocket()));
    return this.#open("route socket of the host", this.#host);
  }

  #open(name: string, namespace: SimulatedNamespace): number {
    const fd = this.#names.descriptor(name);
    this.#sockets.set(fd, { fd, namespace, answers: [] });
    return fd;
  }

  /** Writes it to where `struct msghdr` says: an address is all that is known of the buffer. */
  #handOver(message: Uint8Array): number | undefined {
    if (this.#sent === undefined) return undefined;
    const control = rightsMessage([this.#sent]);
    this.#sent = undefined;
    const view = new DataView(message.buffer, message.byteOffset);
    copyMemory(view.getBigUint64(msghdr.msg_control, true), control, control.length);
    return 1;
  }

  #request(socket: RouteSocketEnd, bytes: Uint8Array): number {
    const sequence = new DataView(bytes.buffer, bytes.byteOffset).getUint32(nlmsghdr.nlmsg_seq, true);
    for (const message of messagesIn(bytes, sequence)) {
      const answers = this.#answersTo(message, socket, bytes.length);
      socket.answers.push(...answers.map((answer) => encodeMessage(answer, sequence)));
    }
    return bytes.length;
  }

  #answersTo(message: Message, socket: RouteSocketEnd, length: number): readonly Message[] {
    const { namespace } = socket;
    switch (message.type) {
      case RTM_GETLINK: {
        const link = this.#find(message.body, namespace);
        return [link === undefined ? result("ENODEV") : answer(RTM_NEWLINK, linkBody(link))];
      }
      case RTM_GETADDR:
        return [
          ...namespace.addresses().map((body) => answer(RTM_NEWADDR, body)),
          answer(NLMSG_DONE, new Uint8Array(4)),
        ];
      case RTM_SETLINK:
      case RTM_NEWADDR:
        return [result(...this.#change(message, socket, length))];
      default:
        // What nobody here knows to be harmless is not done.
        return [result("EOPNOTSUPP")];
    }
  }

  #find(body: Uint8Array, namespace: SimulatedNamespace): Link | undefined {
    const name = attributesIn(body.subarray(ifinfomsg.size)).get(IFLA_IFNAME);
    if (name === undefined) return namespace.find(indexIn(body, ifinfomsg.ifi_index));
    return namespace.find(textOf(name));
  }

  #change(request: Message, socket: RouteSocketEnd, length: number): Outcome {
    const { namespace } = socket;
    const { type, body } = request;
    if (!this.mayChange) return ["EPERM"];
    const isLink = type === RTM_SETLINK;
    const link = namespace.find(indexIn(body, isLink ? ifinfomsg.ifi_index : ifaddrmsg.ifa_index));
    if (link === undefined) return ["ENODEV"];
    const attributes = attributesIn(body.subarray(isLink ? ifinfomsg.size : ifaddrmsg.size));
    const moves = isLink && attributes.has(IFLA_NET_NS_FD);
    if (moves && link.stays !== undefined) return ["EINVAL", link.stays];
    // strace(1) has the names of the host's interfaces alone.
    const nameOf = (index: number) => (namespace === this.#host ? namespace.find(index)?.name : undefined);
    const text = routeRequestText(request, nameOf);
    this.onChange([String(socket.fd), text, String(length), "0", "NULL", "0"]);
    if (moves) this.#move(link, namespace, attributes);
    return [""];
  }

  #move(link: Link, from: SimulatedNamespace, attributes: Attributes): void {
    const path = this.#pathOf(numberIn(attributes.get(IFLA_NET_NS_FD)) ?? -1);
    const to = path === "/proc/self/ns/net" ? this.#host : this.container;
    if (to === undefined) return;
    const wanted = attributes.get(IFLA_IFNAME);
    const name = wanted === undefined ? link.name : to.freeName(textOf(wanted));
    const index = numberIn(attributes.get(IFLA_NEW_IFINDEX)) ?? link.index;
    from.take(link);
    to.put({ index, name, isUp: false });
  }
}

function indexIn(body: Uint8Array, offset: number): number {
  return new DataView(body.buffer, body.byteOffset).getUint32(offset, true);
}

function answer(type: number, body: Uint8Array): Message {
  return { type, flags: 0, body };
}

/** NLMSG_ERROR, which says too that all went well: with no errno. */
function result(errno: string, words = ""): Message {
  const struct = new Uint8Array(nlmsgerr.size);
  new DataView(struct.buffer).setInt32(nlmsgerr.error, -errnoNumber(errno), true);
  const said = words === "" ? [] : [[NLMSGERR_ATTR_MSG, nulTerminated(words)] as const];
  return answer(NLMSG_ERROR, withAttributes(struct, new Map(said)));
}

function receive({ answers }: RouteSocketEnd, buffer: Uint8Array): number {
  const datagram = answers.shift();
  if (datagram === undefined) return -errnoNumber("EAGAIN");
  buffer.set(datagram.subarray(0, buffer.length));
  return datagram.length;
}
