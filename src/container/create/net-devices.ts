import { errnoMessage } from "../../../bindings/abi/errno.ts";
import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { fstatSync } from "../../../bindings/linux/file-status.ts";
import { closeSync, openSync } from "../../../bindings/linux/files.ts";
import { NetlinkError, openRouteSocket, type RouteSocket } from "../../../bindings/linux/netlink.ts";
import {
  addAddress,
  addressText,
  findInterface,
  type InterfaceAddress,
  moveInterface,
  type NetworkInterface,
  permanentAddresses,
  setInterfaceUp,
} from "../../../bindings/linux/network-interface.ts";
import { RuntsError } from "../../errors.ts";
import { asRuntsError } from "../../init/run-program.ts";
import { routeSocketIn } from "../../init/socket-in-namespace.ts";
import { pointerToken } from "../../spec/json/scanner.ts";
import type { NetDevice } from "../../spec/types.ts";

const POINTER = "/linux/netDevices";

/** An interface as it was on the host, and its index in the container. */
interface Moved {
  readonly before: NetworkInterface;
  readonly addresses: readonly InterfaceAddress[];
  readonly index: number;
  readonly pointer: string;
}

/** A network namespace and a socket of it. The namespace lives as long as this is open. */
class Side {
  readonly namespace: number;
  readonly socket: RouteSocket;

  constructor(namespace: number, socket: RouteSocket) {
    this.namespace = namespace;
    this.socket = socket;
  }

  close(): void {
    this.socket.close();
    closeSync(this.namespace);
  }
}

function openSide(path: string, socketIn: (namespace: number) => RouteSocket): Side {
  const namespace = openSync(path, "r");
  try {
    return new Side(namespace, socketIn(namespace));
  } catch (error) {
    closeSync(namespace);
    throw error;
  }
}

/** Interfaces of the host that a container gets: config-linux.md, Network Devices. */
export class NetDevices {
  readonly #devices: readonly (readonly [name: string, device: NetDevice])[];
  readonly #moved: Moved[] = [];
  #host: Side | undefined;
  #container: Side | undefined;

  /** Throws, before anything is made, if the caller may not move interfaces. */
  constructor(devices: Readonly<Record<string, NetDevice>>, rootless: boolean) {
    this.#devices = Object.entries(devices);
    const [first] = this.#devices;
    if (rootless && first !== undefined)
      throw refusal(netDevicePointer(first[0]), first[0], "needs a caller that is root on the host");
  }

  /** Moves them to the network namespace of the process, and sets them up there with the addresses that they had. */
  move(pid: number): void {
    const host = openSide("/proc/self/ns/net", () => openRouteSocket());
    this.#host = host;
    const container = openSide(`/proc/${pid}/ns/net`, (namespace) =>
      openRouteSocket(routeSocketIn(namespace, POINTER)),
    );
    this.#container = container;
    const isOwn = fstatSync(host.namespace).ino !== fstatSync(container.namespace).ino;
    for (const [name, { name: inside = "" }] of this.#devices) {
      const pointer = netDevicePointer(name);
      if (!isOwn) throw refusal(pointer, name, "the container is in the runtime's own network namespace");
      doing(pointer, `move the interface ${name}`, () => this.#moveOne(host, container, name, inside));
    }
  }

  /**
   * Puts those that were moved back where they were, for a create that fails later (runtime.md, Errors). Their addresses return
   * with them; routes don't, as the kernel has forgotten them.
   */
  moveBack(): void {
    const [host, container] = [this.#host, this.#container];
    try {
      if (host === undefined || container === undefined) return;
      for (const { before, addresses, index, pointer } of this.#moved.splice(0).reverse()) {
        doing(pointer, `move the interface ${before.name} back`, () => {
          const link = findInterface(container.socket, index);
          if (link === undefined) return;
          const { name } = before;
          moveInterface(container.socket, link, { namespace: host.namespace, index: before.index, name });
          for (const address of addresses) addAddress(host.socket, before, address, name);
          if (before.isUp) setInterfaceUp(host.socket, before);
        });
      }
    } finally {
      this.close();
    }
  }

  /** Closes the namespaces: one that stays open would outlive its container. */
  close(): void {
    this.#host?.close();
    this.#container?.close();
    this.#host = undefined;
    this.#container = undefined;
  }

  #moveOne(host: Side, container: Side, name: string, inside: string): void {
    const pointer = netDevicePointer(name);
    const before = findInterface(host.socket, name);
    if (before === undefined)
      throw refusal(pointer, name, "there is no such interface on the host", "ENODEV");
    const wanted = inside === "" ? before.name : inside;
    // The kernel would move it first, and only then find that it can't be renamed.
    if (findInterface(container.socket, wanted) !== undefined) {
      const at = inside === "" ? pointer : `${pointer}/name`;
      throw refusal(at, wanted, "the name is taken in the container's network namespace", "EEXIST");
    }
    // An interface loses its addresses when it goes down.
    const addresses = permanentAddresses(host.socket, before);
    const index = freeIndex(container.socket, before.index);
    this.#moved.push({ before, addresses, index, pointer });
    const as = inside === "" ? "" : ` as ${inside}`;
    withPurpose(pointer, `move the interface ${before.name} to the container${as}`, () =>
      moveInterface(host.socket, before, {
        namespace: container.namespace,
        index,
        name: inside === "" ? undefined : inside,
      }),
    );
    // By the index: the name may be one that the kernel has made from a template.
    const link = findInterface(container.socket, index);
    if (link === undefined)
      throw refusal(pointer, name, "the interface is not found after its move", "ENODEV");
    for (const address of addresses) {
      withPurpose(pointer, `give ${link.name} the address ${addressText(address)}`, () =>
        addAddress(container.socket, link, address, before.name),
      );
    }
    withPurpose(pointer, `set ${link.name} up`, () => setInterfaceUp(container.socket, link));
  }
}

/** Returns the wanted index if it is free there, else the next free one: some network plugins and users rely on the same index. */
function freeIndex(socket: RouteSocket, wanted: number): number {
  let index = wanted;
  while (findInterface(socket, index) !== undefined) index += 1;
  return index;
}

export function netDevicePointer(name: string): string {
  return `${POINTER}/${pointerToken(name)}`;
}

function refusal(pointer: string, name: string, reason: string, errno?: string): RuntsError {
  return new RuntsError(`${pointer}: move the interface ${name}: ${reason}`, {
    operation: "RTM_SETLINK",
    path: name,
    pointer,
    errno,
  });
}

/** A failure names the property, and has the kernel's own words where there are some. */
function doing(pointer: string, purpose: string, action: () => void): void {
  try {
    withPurpose(pointer, purpose, action);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.reason === "") throw asRuntsError(error, pointer, purpose);
    const { call, errno, reason, args } = error;
    const path = args[0] ?? "";
    throw new RuntsError(`${pointer}: ${purpose}: ${call}: ${errnoMessage(errno)}: ${reason}`, {
      operation: call,
      errno,
      path,
      pointer,
      cause: error,
    });
  }
}
