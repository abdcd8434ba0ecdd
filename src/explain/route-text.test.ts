import { describe, expect, it } from "vitest";
import { ifaddrmsg, ifinfomsg } from "../../bindings/abi/layouts.ts";
import {
  IFA_ADDRESS,
  IFA_FLAGS,
  IFA_PROTO,
  IFA_RT_PRIORITY,
  IFLA_IFNAME,
  RTM_NEWADDR,
  RTM_SETLINK,
} from "../../bindings/abi/netlink.ts";
import { type Attributes, uint32, withAttributes } from "../../bindings/linux/netlink.ts";
import { routeRequestText } from "./route-text.ts";

const V6 = Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7);

describe("routeRequestText", () => {
  it("shows a request as strace(1) does, with the interface's name where it is known", () => {
    const struct = new Uint8Array(ifinfomsg.size);
    struct.set([5], ifinfomsg.ifi_index);
    const body = withAttributes(struct, new Map([[IFLA_IFNAME, new TextEncoder().encode("eth0\0")]]));
    const request = { type: RTM_SETLINK, flags: 5, body };
    const text = (index: string) =>
      `[{nlmsg_type=RTM_SETLINK, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}, {ifi_index=${index}, ifi_flags=0, ifi_change=0}, [[{nla_type=IFLA_IFNAME}, "eth0"]]]`;
    expect(routeRequestText(request, () => undefined)).toBe(text("5"));
    expect(routeRequestText(request, () => "va")).toBe(text('if_nametoindex("va")'));
  });

  it("leaves out an empty list of attributes", () => {
    const body = new Uint8Array(ifinfomsg.size);
    expect(routeRequestText({ type: RTM_SETLINK, flags: 0, body }, () => undefined)).toMatch(
      /ifi_change=0\}\]$/,
    );
  });

  it("shows the attributes of an address, and unknown ones as bytes", () => {
    const struct = new Uint8Array(ifaddrmsg.size);
    struct.set([10, 64]);
    const attributes: Attributes = new Map([
      [IFA_FLAGS, uint32(0x202)],
      [IFA_ADDRESS, V6],
      [IFA_RT_PRIORITY, uint32(100)],
      [IFA_PROTO, Uint8Array.of(3)],
    ]);
    const body = withAttributes(struct, attributes);
    expect(routeRequestText({ type: RTM_NEWADDR, flags: 0x600, body }, () => undefined)).toContain(
      "{ifa_family=AF_INET6, ifa_prefixlen=64, ifa_flags=0, ifa_scope=RT_SCOPE_UNIVERSE, ifa_index=0}, " +
        "[[{nla_type=IFA_FLAGS}, IFA_F_NODAD|IFA_F_NOPREFIXROUTE], " +
        '[{nla_type=IFA_ADDRESS}, inet_pton(AF_INET6, "2001:db8::7")], ' +
        '[{nla_type=IFA_RT_PRIORITY}, 100], [{nla_type=IFA_PROTO}, "\\x03"]]',
    );
  });
});
