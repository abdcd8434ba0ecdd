import { EINTR, errnoName } from "../abi/errno.ts";
import { cmsghdr } from "../abi/layouts.ts";
import { MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOL_SOCKET } from "../abi/socket.ts";
import { trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";
import { messageHeader } from "./socket-message.ts";
import { withTimeout } from "./socket-timeout.ts";

const DESCRIPTOR_SIZE = 4;

export interface ReceivedMessage {
  /** Empty at the end of a stream. A message longer than the buffer is truncated. */
  readonly bytes: Uint8Array;
  /** A close-on-exec descriptor that came with it by SCM_RIGHTS; undefined if none came. */
  readonly descriptor: number | undefined;
}

/** Waits for one message and takes the descriptor that comes with it. recvmsg(2), unix(7) */
export function receiveMessage(socket: number, buffer: Uint8Array): ReceivedMessage {
  for (;;) {
    const { bytes: header, control } = messageHeader(buffer, new Uint8Array(cmsghdr.size + 8));
    const length = trySyscall("recvmsg", socket, header, MSG_CMSG_CLOEXEC);
    if (length === -EINTR) continue;
    if (length < 0) throw new SyscallError("recvmsg", errnoName(-length), [String(socket)]);
    return { bytes: buffer.subarray(0, length), descriptor: descriptorIn(control) };
  }
}

function descriptorIn(control: Uint8Array): number | undefined {
  const view = new DataView(control.buffer);
  const isDescriptor =
    view.getBigUint64(cmsghdr.cmsg_len, true) >= BigInt(cmsghdr.size + DESCRIPTOR_SIZE) &&
    view.getUint32(cmsghdr.cmsg_level, true) === SOL_SOCKET &&
    view.getUint32(cmsghdr.cmsg_type, true) === SCM_RIGHTS;
  return isDescriptor ? view.getInt32(cmsghdr.size, true) : undefined;
}

/** Receives one descriptor by SCM_RIGHTS, close-on-exec. Throws SyscallError: EPROTO if none came, ETIMEDOUT after the socket's limit. */
export function receiveDescriptor(socket: number): number {
  let received: ReceivedMessage;
  try {
    received = receiveMessage(socket, new Uint8Array(64));
  } catch (error) {
    throw withTimeout(error, "a descriptor");
  }
  const { descriptor } = received;
  if (descriptor === undefined) throw new SyscallError("recvmsg", "EPROTO", ["no descriptor came"]);
  return descriptor;
}
