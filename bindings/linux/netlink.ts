import { errnoName } from "../abi/errno.ts";
import { nlmsgerr, nlmsghdr, rtattr, sockaddr_nl } from "../abi/layouts.ts";
import {
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  SOL_NETLINK,
} from "../abi/netlink.ts";
import { AF_NETLINK, MSG_DONTWAIT, MSG_TRUNC, SOCK_CLOEXEC, SOCK_RAW } from "../abi/socket.ts";
import { syscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";
import { closeSync } from "./files.ts";

/** Messages and attributes of netlink(7), in the machine's byte order: little endian on both architectures. */

/** In bytes; no datagram of a dump is larger: NLMSG_GOODSIZE and the skb sizes of af_netlink.c stay below it. */
const RECEIVE_SIZE = 32_768;
/** Bounds the repetitions of a dump whose objects changed while it was listed. */
const DUMP_ATTEMPTS = 10;

/** A request that the kernel refused. `reason` is its own message (NETLINK_EXT_ACK), often empty. */
export class NetlinkError extends SyscallError {
  readonly reason: string;

  constructor(request: string, errno: string, args: readonly string[], reason: string) {
    super(request, errno, args);
    this.reason = reason;
  }
}

/** A request, and its name and subject for errors. */
export interface Request {
  /** Name of the type as in rtnetlink(7): `RTM_GETLINK`. */
  readonly name: string;
  readonly type: number;
  /** The struct of the type and the attributes behind it. */
  readonly body: Uint8Array;
  /** NLM_F_* of a `change`, in addition to those of every change. */
  readonly flags?: number;
  /** Name of the object that it acts on. */
  readonly subject: string;
}

export interface Message {
  readonly type: number;
  /** NLM_F_* */
  readonly flags: number;
  readonly body: Uint8Array;
}

/** A NETLINK_ROUTE socket. It acts on the network namespace that it was created in, whichever process uses it. */
export interface RouteSocket {
  /** Sends a request that changes an object, and waits for the acknowledgement. */
  change(request: Request): void;
  /** Asks for one object; returns its struct and the attributes behind it. */
  get(request: Request): Uint8Array;
  /** Asks for all objects of a kind; returns each as `get` does. */
  dump(request: Request): Uint8Array[];
  close(): void;
}

type OpenRouteSocket = (fd: number | undefined) => RouteSocket;

let substitute: OpenRouteSocket | undefined;

/** Sets the function that opens all sockets from now on, so that no request reaches the kernel; undefined restores the kernel's. */
export function substituteRouteSockets(open: OpenRouteSocket | undefined): void {
  substitute = open;
}

/** Takes a socket, which may come from another network namespace; by default creates one in the current namespace. */
export function openRouteSocket(fd?: number): RouteSocket {
  return substitute === undefined ? new KernelRouteSocket(fd) : substitute(fd);
}

/** NLM_F_* of a request that changes an object. */
export function changeFlags({ flags = 0 }: Request): number {
  return NLM_F_REQUEST | NLM_F_ACK | flags;
}

export class KernelRouteSocket implements RouteSocket {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(RECEIVE_SIZE);
  #sequence = 0;

  constructor(fd: number = syscall("socket", [AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE])) {
    this.#fd = fd;
    const on = new Uint8Array(new Uint32Array([1]).buffer);
    // Errors then contain the kernel's message (EXT_ACK), and no copy of the request (CAP_ACK).
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK])
      syscall("setsockopt", [fd, SOL_NETLINK, option, on, on.length]);
  }

  change(request: Request): void {
    this.#send(request, changeFlags(request));
    this.#answer(request);
  }

  get(request: Request): Uint8Array {
    this.#send(request, NLM_F_REQUEST);
    return this.#answer(request);
  }

  dump(request: Request): Uint8Array[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const bodies = this.#tryDump(request);
      if (bodies !== undefined) return bodies;
    }
    throw new NetlinkError(
      request.name,
      "EBUSY",
      [request.subject],
      "the dump was interrupted again and again",
    );
  }

  close(): void {
    closeSync(this.#fd);
  }

  #tryDump(request: Request): Uint8Array[] | undefined {
    this.#send(request, NLM_F_REQUEST | NLM_F_DUMP);
    const bodies: Uint8Array[] = [];
    let interrupted = false;
    for (;;) {
      for (const { type, flags, body } of this.#receive()) {
        if ((flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (type === NLMSG_ERROR) checkError(request, body);
        if (type === NLMSG_DONE) return interrupted ? undefined : bodies;
        bodies.push(body);
      }
    }
  }

  #answer(request: Request): Uint8Array {
    for (;;) {
      for (const { type, body } of this.#receive()) {
        if (type === NLMSG_ERROR) checkError(request, body);
        return body;
      }
    }
  }

  #send({ name, type, body, subject }: Request, flags: number): void {
    this.#sequence += 1;
    const message = encodeMessage({ type, flags, body }, this.#sequence);
    // Without an address it goes to the kernel, which executes and answers requests before the call returns.
    syscall("sendto", [this.#fd, message, message.length, 0, null, 0], [`${name} ${subject}`]);
  }

  /** The messages of one datagram that answer the last request; none if another process sent it. */
  #receive(): Message[] {
    const address = new Uint8Array(sockaddr_nl.size);
    const addressLength = new Uint8Array(new Uint32Array([address.length]).buffer);
    const { length } = this.#buffer;
    const count = syscall(
      "recvfrom",
      [this.#fd, this.#buffer, length, MSG_TRUNC | MSG_DONTWAIT, address, addressLength],
      ["from the kernel's rtnetlink"],
    );
    if (count > length) throw new SyscallError("recvfrom", "EMSGSIZE", ["from the kernel's rtnetlink"]);
    if (new DataView(address.buffer).getUint32(sockaddr_nl.nl_pid, true) !== 0) return [];
    // A copy, since the buffer is reused.
    return messagesIn(this.#buffer.slice(0, count), this.#sequence);
  }
}

/** Length in bytes of a message with this body. */
export function messageSize(body: Uint8Array): number {
  return nlmsghdr.size + body.length;
}

function encodeMessage({ type, flags, body }: Message, sequence: number): Uint8Array {
  const message = new Uint8Array(messageSize(body));
  const view = new DataView(message.buffer);
  view.setUint32(nlmsghdr.nlmsg_len, message.length, true);
  view.setUint16(nlmsghdr.nlmsg_type, type, true);
  view.setUint16(nlmsghdr.nlmsg_flags, flags, true);
  view.setUint32(nlmsghdr.nlmsg_seq, sequence, true);
  message.set(body, nlmsghdr.size);
  return message;
}

/** The messages of a datagram that have this sequence number. */
function messagesIn(datagram: Uint8Array, sequence: number): Message[] {
  const messages: Message[] = [];
  for (let offset = 0; offset + nlmsghdr.size <= datagram.length; ) {
    const view = new DataView(datagram.buffer, datagram.byteOffset + offset);
    const length = view.getUint32(nlmsghdr.nlmsg_len, true);
    if (length < nlmsghdr.size) break;
    if (view.getUint32(nlmsghdr.nlmsg_seq, true) === sequence) {
      messages.push({
        type: view.getUint16(nlmsghdr.nlmsg_type, true),
        flags: view.getUint16(nlmsghdr.nlmsg_flags, true),
        body: datagram.subarray(offset + nlmsghdr.size, offset + length),
      });
    }
    offset += align(length);
  }
  return messages;
}

/** Throws the error of an NLMSG_ERROR; an error of 0 is the acknowledgement. */
function checkError({ name, subject }: Request, body: Uint8Array): void {
  const errno = -new DataView(body.buffer, body.byteOffset).getInt32(nlmsgerr.error, true);
  if (errno === 0) return;
  const words = attributesIn(body.subarray(nlmsgerr.size)).get(NLMSGERR_ATTR_MSG);
  throw new NetlinkError(name, errnoName(errno), [subject], words === undefined ? "" : textOf(words));
}

function align(length: number): number {
  return (length + 3) & ~3;
}

export type Attributes = ReadonlyMap<number, Uint8Array>;

/** The upper two bits of a type are flags: NLA_TYPE_MASK. */
const TYPE_MASK = 0x3fff;

export function attributesIn(bytes: Uint8Array): Attributes {
  const attributes = new Map<number, Uint8Array>();
  for (let offset = 0; offset + rtattr.size <= bytes.length; ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
    const length = view.getUint16(rtattr.rta_len, true);
    if (length < rtattr.size) break;
    const type = view.getUint16(rtattr.rta_type, true) & TYPE_MASK;
    attributes.set(type, bytes.subarray(offset + rtattr.size, offset + length));
    offset += align(length);
  }
  return attributes;
}

/** A struct and the attributes behind it. */
export function withAttributes(struct: Uint8Array, attributes: Attributes): Uint8Array {
  let length = align(struct.length);
  for (const value of attributes.values()) length += align(rtattr.size + value.length);
  const bytes = new Uint8Array(length);
  bytes.set(struct);
  let offset = align(struct.length);
  for (const [type, value] of attributes) {
    const view = new DataView(bytes.buffer, offset);
    view.setUint16(rtattr.rta_len, rtattr.size + value.length, true);
    view.setUint16(rtattr.rta_type, type, true);
    bytes.set(value, offset + rtattr.size);
    offset += align(rtattr.size + value.length);
  }
  return bytes;
}

/** The value of an attribute that is a NUL-terminated string. */
export function textOf(value: Uint8Array): string {
  const end = value.indexOf(0);
  return Buffer.from(end < 0 ? value : value.subarray(0, end)).toString("utf8");
}

export function uint32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

export function numberIn(value: Uint8Array | undefined): number | undefined {
  if (value === undefined || value.length < 4) return undefined;
  return new DataView(value.buffer, value.byteOffset).getUint32(0, true);
}
