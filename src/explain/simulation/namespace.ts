import { nulTerminated } from "../../../bindings/abi/c-string.ts";
import { ifaddrmsg, ifinfomsg } from "../../../bindings/abi/layouts.ts";
import { IFLA_IFNAME, RTM_GETADDR } from "../../../bindings/abi/netlink.ts";
import { IFF_LOOPBACK, IFF_UP } from "../../../bindings/abi/socket.ts";
import { onKernel } from "../../../bindings/ffi/syscall.ts";
import { attributesIn, type RouteSocket, withAttributes } from "../../../bindings/linux/netlink.ts";
import { askForInterface, interfaceIn, linkStruct } from "../../../bindings/linux/network-interface.ts";

/** linux/if_link.h since Linux 6.15 */
const IFLA_NETNS_IMMUTABLE = 67;

/** A network interface at a point of the simulation. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly isUp: boolean;
  /** The kernel's message when it refuses to move the interface, perhaps empty; undefined if it would move it. */
  readonly stays?: string;
}

const LOOPBACK: Link = { index: 1, name: "lo", isUp: false, stays: "" };

/** The interfaces of a network namespace: its real ones without those that were moved away, and those that were moved here. */
export class SimulatedNamespace {
  readonly #moved = new Map<number, Link>();
  readonly #gone = new Set<number>();
  /** A socket of the real namespace; undefined for one that is to be made. */
  readonly #real: RouteSocket | undefined;

  constructor(real?: RouteSocket) {
    this.#real = real;
    if (real === undefined) this.put(LOOPBACK);
  }

  find(by: string | number): Link | undefined {
    for (const link of this.#moved.values()) if (by === link.index || by === link.name) return link;
    const real = this.#real;
    const body = real && onKernel(() => askForInterface(real, by));
    const link = body && linkIn(body);
    return link === undefined || this.#gone.has(link.index) ? undefined : link;
  }

  /** Bodies of RTM_NEWADDR. */
  addresses(): readonly Uint8Array[] {
    const real = this.#real;
    const body = new Uint8Array(ifaddrmsg.size);
    const request = { name: "RTM_GETADDR", type: RTM_GETADDR, body, subject: "of all interfaces" };
    return real === undefined ? [] : onKernel(() => real.dump(request));
  }

  put(link: Link): void {
    this.#gone.delete(link.index);
    this.#moved.set(link.index, link);
  }

  take({ index }: Link): void {
    this.#moved.delete(index);
    this.#gone.add(index);
  }

  /** Expands a name template as the kernel does: `%d` becomes the lowest free number. */
  freeName(template: string): string {
    if (!template.includes("%d")) return template;
    for (let number = 0; ; number++) {
      const name = template.replace("%d", String(number));
      if (this.find(name) === undefined) return name;
    }
  }

  close(): void {
    this.#real?.close();
  }
}

/** Body of RTM_NEWLINK. */
export function linkBody({ index, name, isUp }: Link): Uint8Array {
  return withAttributes(linkStruct(index, isUp ? IFF_UP : 0), new Map([[IFLA_IFNAME, nulTerminated(name)]]));
}

function linkIn(body: Uint8Array): Link {
  const link = interfaceIn(body);
  const immutable = attributesIn(body.subarray(ifinfomsg.size)).get(IFLA_NETNS_IMMUTABLE)?.[0];
  if (immutable === 1) return { ...link, stays: "The interface netns is immutable" };
  const flags = new DataView(body.buffer, body.byteOffset).getUint32(ifinfomsg.ifi_flags, true);
  return (flags & IFF_LOOPBACK) === 0 ? link : { ...link, stays: "" };
}
