import { cmsghdr, iovec, msghdr } from "../abi/layouts.ts";
import { SCM_CREDENTIALS, SO_PASSCRED, SOL_SOCKET } from "../abi/socket.ts";
import { addressOf } from "../ffi/koffi.ts";
import { syscall, trySyscall } from "../ffi/syscall.ts";

/** A struct msghdr, which has the addresses of the rest in it: they have to stay for as long as it is used. */
export interface MessageHeader {
  readonly bytes: Uint8Array;
  readonly vector: Uint8Array;
  readonly buffer: Uint8Array;
  readonly control: Uint8Array;
}

/** For sendmsg(2) and recvmsg(2) of one buffer, with so much ancillary data. */
export function messageHeader(buffer: Uint8Array, control: Uint8Array): MessageHeader {
  const vector = new Uint8Array(iovec.size);
  new BigUint64Array(vector.buffer).set([addressOf(buffer), BigInt(buffer.length)]);
  const bytes = new Uint8Array(msghdr.size);
  new BigUint64Array(bytes.buffer).set(
    [addressOf(vector), 1n, addressOf(control), BigInt(control.length)],
    msghdr.msg_iov / 8,
  );
  return { bytes, vector, buffer, control };
}

/** From now on the kernel tells who has sent what arrives: SO_PASSCRED of unix(7). */
export function revealSenders(socket: number): void {
  const on = new Uint8Array(new Int32Array([1]).buffer);
  syscall("setsockopt", [socket, SOL_SOCKET, SO_PASSCRED, on, on.length], ["SO_PASSCRED"]);
}

/** struct ucred, unix(7): the pid comes first. */
const UCRED_SIZE = 12;

export interface Received {
  /** Bytes, all of one sender; or a negative errno. */
  readonly count: number;
  /** Pid of the sender in this process's pid namespace, by the kernel's word; 0 for one that is not in it. */
  readonly sender: number;
}

/** recvmsg(2) on a stream whose senders are revealed. Descriptors that come with the bytes find no room, and are closed. */
export function receiveWithSender(socket: number, buffer: Uint8Array): Received {
  const header = messageHeader(buffer, new Uint8Array(cmsghdr.size + UCRED_SIZE));
  const count = trySyscall("recvmsg", socket, header.bytes, 0);
  const view = new DataView(header.control.buffer);
  const isKnown =
    view.getUint32(cmsghdr.cmsg_level, true) === SOL_SOCKET &&
    view.getUint32(cmsghdr.cmsg_type, true) === SCM_CREDENTIALS;
  return { count, sender: isKnown ? view.getInt32(cmsghdr.size, true) : 0 };
}
