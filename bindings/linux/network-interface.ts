import { nulTerminated } from "../abi/c-string.ts";
import { ifaddrmsg, ifinfomsg } from "../abi/layouts.ts";
import {
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_F_HOMEADDRESS,
  IFA_F_MANAGETEMPADDR,
  IFA_F_MCAUTOJOIN,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_F_PERMANENT,
  IFA_FLAGS,
  IFA_LABEL,
  IFA_LOCAL,
  IFA_PROTO,
  IFA_RT_PRIORITY,
  IFLA_IFNAME,
  IFLA_NET_NS_FD,
  IFLA_NEW_IFINDEX,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RT_SCOPE_UNIVERSE,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_NEWADDR,
  RTM_SETLINK,
} from "../abi/netlink.ts";
import { IFF_UP, IFNAMSIZ } from "../abi/socket.ts";
import { SyscallError } from "../syscall-error.ts";
import {
  type Attributes,
  attributesIn,
  numberIn,
  type RouteSocket,
  textOf,
  uint32,
  withAttributes,
} from "./netlink.ts";

/** Network interfaces and their addresses, by rtnetlink(7). */

export interface NetworkInterface {
  readonly index: number;
  readonly name: string;
  readonly isUp: boolean;
}

/** Finds an interface by its name, which may be an alternative one, or by its index. */
export function findInterface(socket: RouteSocket, by: string | number): NetworkInterface | undefined {
  const body = askForInterface(socket, by);
  return body === undefined ? undefined : interfaceIn(body);
}

/** Finds an interface; returns the reply, the body of an RTM_NEWLINK message. */
export function askForInterface(socket: RouteSocket, by: string | number): Uint8Array | undefined {
  const [index, attributes]: [number, Attributes] =
    typeof by === "number" ? [by, new Map()] : [0, new Map([[IFLA_IFNAME, nulTerminated(by)]])];
  const body = withAttributes(linkStruct(index), attributes);
  try {
    return socket.get({ name: "RTM_GETLINK", type: RTM_GETLINK, body, subject: String(by) });
  } catch (error) {
    if (error instanceof SyscallError && error.errno === "ENODEV") return undefined;
    throw error;
  }
}

export interface Move {
  /** Descriptor of the target network namespace. */
  readonly namespace: number;
  /** Its new index. Linux before 5.13 ignores this, and keeps the old index if it can. */
  readonly index: number;
  /** Its new name, or a template with `%d`; undefined keeps the name. */
  readonly name: string | undefined;
}

/** Moves an interface to another network namespace. The kernel brings it down and removes its addresses. */
export function moveInterface(socket: RouteSocket, { index, name }: NetworkInterface, move: Move): void {
  const attributes = new Map([
    [IFLA_NET_NS_FD, uint32(move.namespace)],
    [IFLA_NEW_IFINDEX, uint32(move.index)],
  ]);
  if (move.name !== undefined) attributes.set(IFLA_IFNAME, nulTerminated(move.name));
  const body = withAttributes(linkStruct(index), attributes);
  socket.change({ name: "RTM_SETLINK", type: RTM_SETLINK, body, subject: name });
}

export function setInterfaceUp(socket: RouteSocket, { index, name }: NetworkInterface): void {
  const body = linkStruct(index, IFF_UP);
  socket.change({ name: "RTM_SETLINK", type: RTM_SETLINK, body, subject: name });
}

export interface InterfaceAddress {
  readonly family: number;
  readonly prefixLength: number;
  readonly attributes: Attributes;
}

/** Flags that an administrator can set; the kernel sets all others. */
const GIVEN_FLAGS =
  IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;

/** Attributes that describe an address. IFA_CACHEINFO is left out: it only says that the address is permanent. */
const KEPT = [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_LABEL, IFA_RT_PRIORITY, IFA_PROTO];

/** The permanent addresses of global scope, of all families, in an order that makes the same ones primary when they are added again. */
export function permanentAddresses(
  socket: RouteSocket,
  { index, name }: NetworkInterface,
): InterfaceAddress[] {
  const body = new Uint8Array(ifaddrmsg.size);
  const addresses: InterfaceAddress[] = [];
  for (const found of socket.dump({ name: "RTM_GETADDR", type: RTM_GETADDR, body, subject: name })) {
    const view = new DataView(found.buffer, found.byteOffset);
    if (view.getUint32(ifaddrmsg.ifa_index, true) !== index) continue;
    const all = attributesIn(found.subarray(ifaddrmsg.size));
    const flags = numberIn(all.get(IFA_FLAGS)) ?? view.getUint8(ifaddrmsg.ifa_flags);
    if ((flags & IFA_F_PERMANENT) === 0) continue;
    if (view.getUint8(ifaddrmsg.ifa_scope) !== RT_SCOPE_UNIVERSE) continue;
    const attributes = new Map([[IFA_FLAGS, uint32(flags & GIVEN_FLAGS)]]);
    for (const type of KEPT) {
      const value = all.get(type);
      if (value !== undefined) attributes.set(type, value);
    }
    addresses.push({
      family: view.getUint8(ifaddrmsg.ifa_family),
      prefixLength: view.getUint8(ifaddrmsg.ifa_prefixlen),
      attributes,
    });
  }
  return addresses;
}

/** `192.0.2.7/24` */
export function addressText({ prefixLength, attributes }: InterfaceAddress): string {
  const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? new Uint8Array(0);
  return `${internetAddress(address)}/${prefixLength}`;
}

/** `192.0.2.7` or `2001:db8::7` */
export function internetAddress(bytes: Uint8Array): string {
  if (bytes.length !== 16) return bytes.join(".");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(2 * index).toString(16));
  // URL gives the form of RFC 5952, which is that of inet_ntop(3), except for IPv4-mapped and IPv4-compatible addresses.
  const shortest = new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
  const prefix = /^(::(?:ffff:)?)[0-9a-f]+:[0-9a-f]+$/.exec(shortest)?.[1];
  return prefix === undefined ? shortest : `${prefix}${bytes.subarray(12).join(".")}`;
}

/** Adds an address to an interface. `labelled` is the name of the interface that the address was read from. */
export function addAddress(
  socket: RouteSocket,
  to: NetworkInterface,
  { family, prefixLength, attributes }: InterfaceAddress,
  labelled: string,
): void {
  const struct = new Uint8Array(ifaddrmsg.size);
  const view = new DataView(struct.buffer);
  view.setUint8(ifaddrmsg.ifa_family, family);
  view.setUint8(ifaddrmsg.ifa_prefixlen, prefixLength);
  view.setUint8(ifaddrmsg.ifa_scope, RT_SCOPE_UNIVERSE);
  view.setUint32(ifaddrmsg.ifa_index, to.index, true);
  socket.change({
    name: "RTM_NEWADDR",
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: withAttributes(struct, withLabel(attributes, labelled, to.name)),
    subject: to.name,
  });
}

/** Adapts a label to a new interface name: a label is that name, or begins with it and a colon. */
function withLabel(attributes: Attributes, before: string, after: string): Attributes {
  const label = attributes.get(IFA_LABEL);
  if (label === undefined || before === after) return attributes;
  const renamed = new Map(attributes);
  const text = textOf(label);
  const value = `${after}${text.slice(before.length)}`;
  if (text.startsWith(`${before}:`) && Buffer.byteLength(value) < IFNAMSIZ)
    renamed.set(IFA_LABEL, nulTerminated(value));
  else renamed.delete(IFA_LABEL);
  return renamed;
}

/** A struct ifinfomsg that sets `flags` and changes no other flag. */
export function linkStruct(index: number, flags = 0): Uint8Array {
  const struct = new Uint8Array(ifinfomsg.size);
  const view = new DataView(struct.buffer);
  view.setInt32(ifinfomsg.ifi_index, index, true);
  view.setUint32(ifinfomsg.ifi_flags, flags, true);
  view.setUint32(ifinfomsg.ifi_change, flags, true);
  return struct;
}

export function interfaceIn(body: Uint8Array): NetworkInterface {
  const view = new DataView(body.buffer, body.byteOffset);
  const name = attributesIn(body.subarray(ifinfomsg.size)).get(IFLA_IFNAME);
  return {
    index: view.getInt32(ifinfomsg.ifi_index, true),
    name: name === undefined ? "" : textOf(name),
    isUp: (view.getUint32(ifinfomsg.ifi_flags, true) & IFF_UP) !== 0,
  };
}
