import { flagsOf, oneOf, type ToName } from "../../bindings/abi/flag-names.ts";
import { netlink, socket } from "../../bindings/abi/flag-values.generated.ts";
import { ifaddrmsg, ifinfomsg } from "../../bindings/abi/layouts.ts";
import {
  type Attributes,
  attributesIn,
  type Message,
  numberIn,
  textOf,
} from "../../bindings/linux/netlink.ts";
import { internetAddress } from "../../bindings/linux/network-interface.ts";

/**
 * Requests to rtnetlink(7) as text, in the notation of strace(1), without lengths, sequence numbers and the fields that are 0 in every
 * request.
 */

/** `nameOf` returns the name of the interface with an index in the namespace that the request goes to, if it is known. */
export function routeRequestText(request: Message, nameOf: (index: number) => string | undefined): string {
  const { type, flags, body } = request;
  const header = `{nlmsg_type=${messageType(type)}, nlmsg_flags=${messageFlags(flags)}}`;
  const index = (value: number) => {
    const name = nameOf(value);
    return name === undefined ? String(value) : `if_nametoindex(${JSON.stringify(name)})`;
  };
  const isLink = type === netlink.RTM_SETLINK;
  const struct = isLink ? linkText(body, index) : addressText(body, index);
  const attributes = attributesIn(body.subarray(isLink ? ifinfomsg.size : ifaddrmsg.size));
  const list = isLink ? attributesText(attributes, LINK) : attributesText(attributes, ADDRESS);
  return `[${[header, struct, ...list].join(", ")}]`;
}

const messageType = oneOf(netlink, "RTM_");
const messageFlags = flagsOf(netlink, ["NLM_F_"], { except: ["NLM_F_DUMP"] });
const interfaceFlags = flagsOf(socket, ["IFF_"]);
const addressFlags = flagsOf(netlink, ["IFA_F_"]);
const family = oneOf(socket, "AF_");
const scope = oneOf(netlink, "RT_SCOPE_");

type Index = (value: number) => string;

function linkText(body: Uint8Array, index: Index): string {
  const view = new DataView(body.buffer, body.byteOffset);
  const change = view.getUint32(ifinfomsg.ifi_change, true);
  const fields = [
    `ifi_index=${index(view.getInt32(ifinfomsg.ifi_index, true))}`,
    `ifi_flags=${interfaceFlags(view.getUint32(ifinfomsg.ifi_flags, true))}`,
    `ifi_change=${change === 0 ? "0" : `0x${change.toString(16)}`}`,
  ];
  return `{${fields.join(", ")}}`;
}

function addressText(body: Uint8Array, index: Index): string {
  const view = new DataView(body.buffer, body.byteOffset);
  const fields = [
    `ifa_family=${family(view.getUint8(ifaddrmsg.ifa_family))}`,
    `ifa_prefixlen=${view.getUint8(ifaddrmsg.ifa_prefixlen)}`,
    `ifa_flags=${addressFlags(view.getUint8(ifaddrmsg.ifa_flags))}`,
    `ifa_scope=${scope(view.getUint8(ifaddrmsg.ifa_scope))}`,
    `ifa_index=${index(view.getUint32(ifaddrmsg.ifa_index, true))}`,
  ];
  return `{${fields.join(", ")}}`;
}

type Show = (value: Uint8Array) => string;

interface Kind {
  readonly name: ToName;
  readonly shows: ReadonlyMap<number, Show>;
}

const number: Show = (value) => String(numberIn(value));
const string: Show = (value) => JSON.stringify(textOf(value));
const address: Show = (value) => {
  const text = JSON.stringify(internetAddress(value));
  return value.length === 16 ? `inet_pton(AF_INET6, ${text})` : `inet_addr(${text})`;
};
const hexadecimal: Show = (value) =>
  `"${[...value].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}"`;

const LINK: Kind = {
  name: oneOf(netlink, "IFLA_"),
  shows: new Map([
    [netlink.IFLA_IFNAME, string],
    [netlink.IFLA_NET_NS_FD, number],
    [netlink.IFLA_NEW_IFINDEX, number],
  ]),
};

const ADDRESS: Kind = {
  name: oneOf(
    netlink,
    "IFA_",
    Object.keys(netlink).filter((name) => name.startsWith("IFA_F_")),
  ),
  shows: new Map([
    [netlink.IFA_ADDRESS, address],
    [netlink.IFA_LOCAL, address],
    [netlink.IFA_BROADCAST, address],
    [netlink.IFA_LABEL, string],
    [netlink.IFA_FLAGS, (value) => addressFlags(numberIn(value) ?? 0)],
    [netlink.IFA_RT_PRIORITY, number],
  ]),
};

/** The attributes as one list; no list for no attributes. */
function attributesText(attributes: Attributes, { name, shows }: Kind): string[] {
  if (attributes.size === 0) return [];
  const texts = [...attributes].map(
    ([type, value]) => `[{nla_type=${name(type)}}, ${(shows.get(type) ?? hexadecimal)(value)}]`,
  );
  return [`[${texts.join(", ")}]`];
}
