import { cmsghdr, iovec, msghdr } from "../abi/layouts.ts";
import { SCM_CREDENTIALS, SO_PASSCRED, SOL_SOCKET } from "../abi/socket.ts";
import { addressOf } from "../ffi/koffi.ts";
import { syscall, trySyscall } from "../ffi/syscall.ts";

/** A struct msghdr. It contains addresses of the other buffers, which have to stay referenced as long as it is used. */
export interface MessageHeader {
  readonly bytes: Uint8Array;
  readonly vector: Uint8Array;
  readonly buffer: Uint8Array;
  readonly control: Uint8Array;
}

/** Header for sendmsg(2) or recvmsg(2) with one data buffer and one buffer of ancillary data. */
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

/** Makes the kernel attach the sender's credentials to all bytes that arrive: SO_PASSCRED of unix(7). */
export function revealSenders(socket: number): void {
  const on = new Uint8Array(new Int32Array([1]).buffer);
  syscall("setsockopt", [socket, SOL_SOCKET, SO_PASSCRED, on, on.length], ["SO_PASSCRED"]);
}

/** struct ucred, unix(7): the pid comes first. */
const UCRED_SIZE = 12;

export interface Received {
  /** Number of bytes, all of one sender, or a negative errno. */
  readonly count: number;
  /** Pid of the sender in this process's pid namespace, as the kernel reports it; 0 for a process outside of it. */
  readonly sender: number;
}

/** recvmsg(2) on a stream after revealSenders. The kernel closes descriptors that come with the bytes, as there is no room for them. */
export function receiveWithSender(socket: number, buffer: Uint8Array): Received {
  const header = messageHeader(buffer, new Uint8Array(cmsghdr.size + UCRED_SIZE));
  const count = trySyscall("recvmsg", socket, header.bytes, 0);
  const view = new DataView(header.control.buffer);
  const isKnown =
    view.getUint32(cmsghdr.cmsg_level, true) === SOL_SOCKET &&
    view.getUint32(cmsghdr.cmsg_type, true) === SCM_CREDENTIALS;
  return { count, sender: isKnown ? view.getInt32(cmsghdr.size, true) : 0 };
}
