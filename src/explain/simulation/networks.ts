import { ifaddrmsg, ifinfomsg, msghdr } from "../../../bindings/abi/layouts.ts";
import {
  IFLA_IFNAME,
  IFLA_NET_NS_FD,
  IFLA_NEW_IFINDEX,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_NEWADDR,
  RTM_SETLINK,
} from "../../../bindings/abi/netlink.ts";
import { copyMemory } from "../../../bindings/ffi/koffi.ts";
import { onKernel } from "../../../bindings/ffi/syscall.ts";
import {
  type Attributes,
  attributesIn,
  changeFlags,
  KernelRouteSocket,
  messageSize,
  NetlinkError,
  numberIn,
  type Request,
  type RouteSocket,
  textOf,
} from "../../../bindings/linux/netlink.ts";
import { rightsMessage } from "../../../bindings/stub/client.ts";
import type { Names } from "../names.ts";
import { routeRequestText } from "../route-text.ts";
import { type Link, linkBody, SimulatedNamespace } from "./namespace.ts";

/**
 * The network namespaces of host and container. Their sockets put questions to the real kernel; a change is reported, and seems to be
 * made from then on.
 */
export class SimulatedNetworks {
  readonly #names: Names;
  readonly #pathOf: (fd: number) => string | undefined;
  #host: SimulatedNamespace | undefined;
  /** The namespace that the container will be in. */
  container = new SimulatedNamespace();
  /** Whether create would have the right to: CAP_NET_ADMIN. */
  mayChange = true;
  /** Told of a request that would change something: the arguments of sendto(2), as text. */
  onChange: (args: readonly string[]) => void = () => undefined;
  /** A descriptor that the stub has sent, and the runtime has not received yet. */
  #sent: number | undefined;

  constructor(names: Names, pathOf: (fd: number) => string | undefined) {
    this.#names = names;
    this.#pathOf = pathOf;
  }

  /** For substituteRouteSockets: a descriptor is that of `openInContainer`. */
  readonly openSocket = (descriptor?: number): RouteSocket => {
    if (descriptor !== undefined) return this.#socket(descriptor, this.container);
    this.#host ??= onKernel(() => new SimulatedNamespace(new KernelRouteSocket()));
    return this.#socket(this.#names.descriptor("route socket of the host"), this.#host);
  };

  /** The descriptor of a socket that the stub opens, and sends to the runtime. */
  openInContainer(): number {
    this.#sent = this.#names.descriptor("route socket of the container");
    return this.#sent;
  }

  /** Takes a descriptor that the stub sends to the runtime, unless it is that of a socket from here. */
  handOver(descriptor: () => number): void {
    this.#sent ??= descriptor();
  }

  /** Delivers what the stub has sent to where `struct msghdr` says. Returns the length of the message; undefined without one. */
  receive(header: Uint8Array): number | undefined {
    if (this.#sent === undefined) return undefined;
    const control = rightsMessage([this.#sent]);
    this.#sent = undefined;
    const view = new DataView(header.buffer, header.byteOffset);
    copyMemory(view.getBigUint64(msghdr.msg_control, true), control, control.length);
    return 1;
  }

  close(): void {
    this.#host?.close();
    this.container.close();
  }

  #socket(descriptor: number, namespace: SimulatedNamespace): RouteSocket {
    return {
      get: (request) => linkBody(find(request, namespace)),
      dump: (request) => {
        if (request.type !== RTM_GETADDR) throw refused(request, "EOPNOTSUPP");
        return [...namespace.addresses()];
      },
      change: (request) => this.#change(request, descriptor, namespace),
      close: () => undefined,
    };
  }

  #change(request: Request, descriptor: number, namespace: SimulatedNamespace): void {
    const { type, body } = request;
    // Requests of other types may do anything, and are refused.
    if (type !== RTM_SETLINK && type !== RTM_NEWADDR) throw refused(request, "EOPNOTSUPP");
    if (!this.mayChange) throw refused(request, "EPERM");
    const isLink = type === RTM_SETLINK;
    const link = namespace.find(indexIn(body, isLink ? ifinfomsg.ifi_index : ifaddrmsg.ifa_index));
    if (link === undefined) throw refused(request, "ENODEV");
    const attributes = attributesIn(body.subarray(isLink ? ifinfomsg.size : ifaddrmsg.size));
    const moves = isLink && attributes.has(IFLA_NET_NS_FD);
    if (moves && link.stays !== undefined) throw refused(request, "EINVAL", link.stays);
    // strace(1) has only the names of the host's interfaces.
    const nameOf = (index: number) => (namespace === this.#host ? namespace.find(index)?.name : undefined);
    const text = routeRequestText({ type, flags: changeFlags(request), body }, nameOf);
    this.onChange([String(descriptor), text, String(messageSize(body)), "0", "NULL", "0"]);
    if (moves) this.#move(link, namespace, attributes);
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

function find(request: Request, namespace: SimulatedNamespace): Link {
  const { type, body } = request;
  if (type !== RTM_GETLINK) throw refused(request, "EOPNOTSUPP");
  const name = attributesIn(body.subarray(ifinfomsg.size)).get(IFLA_IFNAME);
  const link = namespace.find(name === undefined ? indexIn(body, ifinfomsg.ifi_index) : textOf(name));
  if (link === undefined) throw refused(request, "ENODEV");
  return link;
}

function indexIn(body: Uint8Array, offset: number): number {
  return new DataView(body.buffer, body.byteOffset).getUint32(offset, true);
}

/** As the kernel refuses a request, in its own words where it has some. */
function refused({ name, subject }: Request, errno: string, words = ""): NetlinkError {
  return new NetlinkError(name, errno, [subject], words);
}
