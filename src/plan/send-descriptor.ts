import { nulTerminated } from "../../bindings/abi/c-string.ts";
import { cmsghdr, iovec, msghdr } from "../../bindings/abi/layouts.ts";
import { MSG_NOSIGNAL, SCM_RIGHTS, SOL_SOCKET } from "../../bindings/abi/socket.ts";
import { at, data, type Program, type Register } from "../../bindings/stub/program.ts";

const DESCRIPTOR_SIZE = 4;
/** CMSG_SPACE of one descriptor, cmsg(3). */
const CONTROL_SPACE = cmsghdr.size + 8;

export interface Receiver {
  /** Connected AF_UNIX socket. */
  readonly socket: Register;
  /** Payload of the message that carries the descriptor. */
  readonly text: string;
  /** Name of the socket in errors. */
  readonly path: string;
}

/** Sends a descriptor from the stub: sendmsg(2) with SCM_RIGHTS, unix(7). */
export function sendDescriptor(program: Program, fd: Register, { socket, text, path }: Receiver): void {
  const content = data(nulTerminated(text).subarray(0, -1));
  const vector = data(new Uint8Array(iovec.size));
  const control = data(new Uint8Array(CONTROL_SPACE));
  const message = data(new Uint8Array(msghdr.size));
  const controlView = new DataView(control.bytes.buffer);
  controlView.setBigUint64(cmsghdr.cmsg_len, BigInt(cmsghdr.size + DESCRIPTOR_SIZE), true);
  controlView.setUint32(cmsghdr.cmsg_level, SOL_SOCKET, true);
  controlView.setUint32(cmsghdr.cmsg_type, SCM_RIGHTS, true);
  new DataView(vector.bytes.buffer).setBigUint64(iovec.iov_len, BigInt(content.bytes.length), true);
  const messageView = new DataView(message.bytes.buffer);
  messageView.setBigUint64(msghdr.msg_iovlen, 1n, true);
  messageView.setBigUint64(msghdr.msg_controllen, BigInt(CONTROL_SPACE), true);
  program.store(at(control, cmsghdr.size), fd, DESCRIPTOR_SIZE);
  program.store(at(vector, iovec.iov_base), content, 8);
  program.store(at(message, msghdr.msg_iov), vector, 8);
  program.store(at(message, msghdr.msg_control), control, 8);
  program.do("sendmsg", [socket, message, MSG_NOSIGNAL], { path });
}
