import { cmsghdr } from "../abi/layouts.ts";
import { MSG_CMSG_CLOEXEC } from "../abi/socket.ts";
import { addressOf } from "../ffi/koffi.ts";
import { syscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

/** Receives one descriptor that was sent by SCM_RIGHTS over a socket; it is close-on-exec. recvmsg(2), unix(7) */
export function receiveDescriptor(socket: number): number {
  const text = new Uint8Array(64);
  const control = new Uint8Array(cmsghdr.size + 8);
  const iovec = new BigUint64Array([addressOf(text), BigInt(text.length)]);
  const iovecBytes = new Uint8Array(iovec.buffer);
  const message = new BigUint64Array([
    0n,
    0n,
    addressOf(iovecBytes),
    1n,
    addressOf(control),
    BigInt(control.length),
    0n,
  ]);
  syscall("recvmsg", [socket, new Uint8Array(message.buffer), MSG_CMSG_CLOEXEC], ["a descriptor"]);
  const view = new DataView(control.buffer);
  if (view.getBigUint64(cmsghdr.cmsg_len, true) < BigInt(cmsghdr.size + 4))
    throw new SyscallError("recvmsg", "EPROTO", ["no descriptor came"]);
  return view.getInt32(cmsghdr.size, true);
}
