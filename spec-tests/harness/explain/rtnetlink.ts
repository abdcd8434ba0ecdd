import { SocketAddress } from "node:net";
import type { TracedCall } from "./strace.ts";

/** Parts of strace's text of a request that explain leaves out: lengths, numbers, and fields that are 0 in every request. */
const LEFT_OUT =
  /(?:nlmsg_len|nla_len)=\d+, |, nlmsg_seq=\d+, nlmsg_pid=\d+|ifi_family=AF_UNSPEC, ifi_type=\w+, /g;

/** A request to another network namespace than strace's own: strace decodes only the netlink header. */
const UNKNOWN =
  /^\[\{nlmsg_len=\d+, nlmsg_type=(0x[0-9a-f]+), nlmsg_flags=([^,]+), nlmsg_seq=\d+, nlmsg_pid=\d+\}, "([^"]*)"\]$/;

/** A request to rtnetlink(7) that changes something, as explain would print it; undefined for any other call. */
export function routeChange({ call, args }: TracedCall): string | undefined {
  const [, text = ""] = args;
  if (call !== "sendto" || !text.startsWith("[{nlmsg_len=")) return undefined;
  const [, type, flags = "", body = ""] = UNKNOWN.exec(text) ?? [];
  if (type !== undefined) return decoded(Number(type), flags, Buffer.from(body.replaceAll("\\x", ""), "hex"));
  return /nlmsg_type=RTM_(?!GET)/.test(text) ? text.replace(LEFT_OUT, "") : undefined;
}

// linux/rtnetlink.h: types come in groups of four, of which the third one asks.
const RTM_SETLINK = 19;
const RTM_NEWADDR = 20;
const RTM_ASKS = 2;

/** Decodes a request by the kernel's headers, without code of the runtime. */
function decoded(type: number, flags: string, body: Buffer): string | undefined {
  if (type % 4 === RTM_ASKS) return undefined;
  if (type === RTM_SETLINK) {
    const [index, set, change] = [body.readUInt32LE(4), body.readUInt32LE(8), body.readUInt32LE(12)];
    const struct = `{ifi_index=${index}, ifi_flags=${named(set, { IFF_UP: 0x1 })}, ifi_change=0x${change.toString(16)}}`;
    return `[{nlmsg_type=RTM_SETLINK, nlmsg_flags=${flags}}, ${struct}${attributes(body.subarray(16), {})}]`;
  }
  if (type !== RTM_NEWADDR) return `[{nlmsg_type=${type}}]`;
  const fields = [
    `ifa_family=${named(body.readUInt8(0), { AF_INET: 2, AF_INET6: 10 })}`,
    `ifa_prefixlen=${body[1]}`,
    `ifa_flags=${body[2]}`,
    `ifa_scope=${body[3] === 0 ? "RT_SCOPE_UNIVERSE" : body[3]}`,
    `ifa_index=${body.readUInt32LE(4)}`,
  ];
  const create = flags.replace("0x600", "NLM_F_EXCL|NLM_F_CREATE");
  return `[{nlmsg_type=RTM_NEWADDR, nlmsg_flags=${create}}, {${fields.join(", ")}}${attributes(body.subarray(8), ADDRESS)}]`;
}

type Show = (value: Buffer) => string;

const address: Show = (value) =>
  value.length === 4
    ? `inet_addr("${[...value].join(".")}")`
    : `inet_pton(AF_INET6, "${new SocketAddress({ family: "ipv6", address: groups(value) }).address}")`;

const ADDRESS: Readonly<Record<number, readonly [name: string, show: Show]>> = {
  1: ["IFA_ADDRESS", address],
  2: ["IFA_LOCAL", address],
  3: ["IFA_LABEL", (value) => JSON.stringify(value.toString("utf8", 0, value.indexOf(0)))],
  4: ["IFA_BROADCAST", address],
  8: ["IFA_FLAGS", (value) => named(value.readUInt32LE(0), { IFA_F_NODAD: 0x2, IFA_F_NOPREFIXROUTE: 0x200 })],
  9: ["IFA_RT_PRIORITY", (value) => String(value.readUInt32LE(0))],
  11: ["IFA_PROTO", (value) => `"\\x${value.toString("hex")}"`],
};

function groups(value: Buffer): string {
  return (value.toString("hex").match(/.{4}/g) ?? []).join(":");
}

function attributes(bytes: Buffer, known: typeof ADDRESS): string {
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; at += (bytes.readUInt16LE(at) + 3) & ~3) {
    const value = bytes.subarray(at + 4, at + bytes.readUInt16LE(at));
    const [name, show] = known[bytes.readUInt16LE(at + 2)] ?? ["unknown", (hex) => hex.toString("hex")];
    texts.push(`[{nla_type=${name}}, ${show(value)}]`);
  }
  return texts.length === 0 ? "" : `, [${texts.join(", ")}]`;
}

/** The name with this value, or else the names of all bits in it. */
function named(value: number, names: Readonly<Record<string, number>>): string {
  const [one] = Object.entries(names).find(([, is]) => is === value) ?? [];
  if (one !== undefined) return one;
  const found = Object.entries(names).filter(([, bit]) => (value & bit) !== 0);
  const rest = found.reduce((left, [, bit]) => left & ~bit, value);
  return [...found.map(([name]) => name), ...(rest === 0 ? [] : [`0x${rest.toString(16)}`])].join("|") || "0";
}
