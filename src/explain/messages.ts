import { cmsghdr, iovec, msghdr } from "../../bindings/abi/layouts.ts";
import { SCM_CREDENTIALS, SOL_SOCKET } from "../../bindings/abi/socket.ts";
import { copyMemory } from "../../bindings/ffi/koffi.ts";

/** Reads and fills what `struct msghdr` of sendmsg(2) and recvmsg(2) points to. All messages of the runtime have one buffer. */

/** Length in bytes of the buffer. */
export function lengthOfMessage(header: Uint8Array): number {
  return Number(vectorOf(header).getBigUint64(iovec.iov_len, true));
}

/**
 * Fills the buffer with the bytes that `take` returns, at most `length`, and names their sender's pid: SCM_CREDENTIALS of unix(7). Returns
 * how many bytes it has filled in.
 */
export function deliverMessage(
  header: Uint8Array,
  sender: number,
  take: (length: number) => Uint8Array,
): number {
  const control = new DataView(new ArrayBuffer(cmsghdr.size + Int32Array.BYTES_PER_ELEMENT));
  control.setUint32(cmsghdr.cmsg_level, SOL_SOCKET, true);
  control.setUint32(cmsghdr.cmsg_type, SCM_CREDENTIALS, true);
  control.setInt32(cmsghdr.size, sender, true);
  write(viewOf(header).getBigUint64(msghdr.msg_control, true), new Uint8Array(control.buffer));
  const vector = vectorOf(header);
  const part = take(lengthOfMessage(header));
  write(vector.getBigUint64(iovec.iov_base, true), part);
  return part.length;
}

function vectorOf(header: Uint8Array): DataView {
  const vector = new Uint8Array(iovec.size);
  copyMemory(vector, viewOf(header).getBigUint64(msghdr.msg_iov, true), vector.length);
  return new DataView(vector.buffer);
}

function viewOf(header: Uint8Array): DataView {
  return new DataView(header.buffer, header.byteOffset);
}

function write(address: bigint, bytes: Uint8Array): void {
  copyMemory(address, bytes, bytes.length);
}
