import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EAGAIN, ENOSYS } from "../../../bindings/abi/errno.ts";
import { substituteKernel } from "../../../bindings/ffi/syscall.ts";
import {
  openRouteSocket,
  type RouteSocket,
  substituteRouteSockets,
} from "../../../bindings/linux/netlink.ts";
import {
  findInterface,
  moveInterface,
  permanentAddresses,
  setInterfaceUp,
} from "../../../bindings/linux/network-interface.ts";
import { receiveDescriptor } from "../../../bindings/linux/receive-descriptor.ts";
import { Names } from "../names.ts";
import { SimulatedNamespace } from "./namespace.ts";
import { SimulatedNetworks } from "./networks.ts";

/** Descriptors of network namespaces. */
const HOST = 100;
const CONTAINER = 101;

let networks: SimulatedNetworks;
/** Arguments of sendto(2). */
let changes: (readonly string[])[];

beforeEach(() => {
  networks = new SimulatedNetworks(new Names(), (fd) =>
    fd === HOST ? "/proc/self/ns/net" : "/proc/2/ns/net",
  );
  changes = [];
  networks.onChange = (args) => changes.push(args);
  substituteRouteSockets(networks.openSocket);
});

afterEach(() => {
  substituteRouteSockets(undefined);
  substituteKernel(undefined);
  networks.close();
});

/** As the runtime gets it from the stub. */
function containerSocket(): RouteSocket {
  networks.openInContainer();
  substituteKernel((name, [, header]) =>
    name === "recvmsg" && header instanceof Uint8Array ? (networks.receive(header) ?? -EAGAIN) : -ENOSYS,
  );
  const descriptor = receiveDescriptor(7);
  substituteKernel(undefined);
  return openRouteSocket(descriptor);
}

describe("SimulatedNetworks", () => {
  it("shows the host's interfaces on the host, and lo in the container", () => {
    expect(findInterface(openRouteSocket(), "lo")).toMatchObject({ index: 1, name: "lo" });
    expect(findInterface(openRouteSocket(), "none0")).toBeUndefined();
    const inside = containerSocket();
    expect(findInterface(inside, 1)).toEqual({ index: 1, name: "lo", isUp: false });
    expect(findInterface(inside, 2)).toBeUndefined();
    expect(permanentAddresses(inside, { index: 1, name: "lo", isUp: false })).toEqual([]);
  });

  it("moves an interface there and back, and reports the requests", () => {
    const inside = containerSocket();
    networks.container.put({ index: 5, name: "va", isUp: true });
    const host = openRouteSocket();
    const va = { index: 5, name: "va", isUp: true };
    moveInterface(inside, va, { namespace: HOST, index: 4_000_000, name: "spec%d" });
    expect(findInterface(inside, "va")).toBeUndefined();
    expect(findInterface(host, 4_000_000)).toEqual({ index: 4_000_000, name: "spec0", isUp: false });
    findInterface(host, "spec0");
    moveInterface(host, { ...va, index: 4_000_000 }, { namespace: CONTAINER, index: 6, name: undefined });
    expect(findInterface(host, "spec0")).toBeUndefined();
    setInterfaceUp(inside, { ...va, index: 6 });
    expect(changes.slice(1).map((args) => args[1])).toEqual([
      expect.stringMatching(/RTM_SETLINK.*if_nametoindex\("spec0"\).*IFLA_NET_NS_FD/),
      expect.stringMatching(/RTM_SETLINK.*ifi_index=6, ifi_flags=IFF_UP/),
    ]);
  });

  it("refuses what the kernel would: moving lo, an unknown interface, a caller without CAP_NET_ADMIN", () => {
    const inside = containerSocket();
    const lo = { index: 1, name: "lo", isUp: false };
    const move = { namespace: HOST, index: 1, name: "lo1" };
    expect(() => moveInterface(inside, lo, move)).toThrow("EINVAL");
    expect(() => setInterfaceUp(inside, { ...lo, index: 9 })).toThrow("ENODEV");
    networks.mayChange = false;
    expect(() => setInterfaceUp(inside, lo)).toThrow("EPERM");
    expect(changes).toEqual([]);
  });

  it("refuses requests of unknown types", () => {
    const RTM_DELLINK = 17;
    const request = { name: "RTM_DELLINK", type: RTM_DELLINK, body: new Uint8Array(16), subject: "lo" };
    expect(() => openRouteSocket().change(request)).toThrow("EOPNOTSUPP");
  });
});

describe("SimulatedNamespace", () => {
  it("expands name templates with the lowest free number, as the kernel does", () => {
    const namespace = new SimulatedNamespace();
    for (const [index, name] of ["eth0", "eth2"].entries()) namespace.put({ index, name, isUp: false });
    expect(namespace.freeName("eth%d")).toBe("eth1");
    expect(namespace.freeName("eth2")).toBe("eth2");
  });
});
