import { errnoName } from "../abi/errno.ts";
import { O_NOFOLLOW, O_PATH, S_IFMT, S_IFSOCK } from "../abi/fcntl.ts";
import { AF_UNIX, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM } from "../abi/socket.ts";
import { syscall, trySyscall } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";
import { fstatSync } from "./file-status.ts";
import { chmodSync, closeSync, openSync } from "./files.ts";
import { setSocketTimeout } from "./socket-timeout.ts";
import { withAddress } from "./unix-socket.ts";

/** AF_UNIX datagram sockets, unix(7). */

/** Limit for a peer that doesn't receive. */
const PEER_TIMEOUT_S = 30;

/** Creates a socket at `path` to which every user may send. Returns its descriptor. */
export function bindDatagram(path: string): number {
  return withAddress(path, (address) => opened("bind", address, path, () => openToAll(path)));
}

/** Changes the mode by a verified descriptor: if others can write to the directory, the path may lead to another file by now. */
function openToAll(path: string): void {
  const file = openSync(path, O_PATH | O_NOFOLLOW);
  try {
    if ((fstatSync(file).mode & S_IFMT) !== S_IFSOCK) throw new SyscallError("bind", "ENOTSOCK", [path]);
    chmodSync(`/proc/self/fd/${file}`, 0o777);
  } finally {
    closeSync(file);
  }
}

/** Opens a socket that sends to the one at `path`, or at an abstract address if `path` begins with `@`. */
export function connectDatagram(path: string): number {
  if (!path.startsWith("@")) return withAddress(path, (address) => opened("connect", address, path));
  const name = new TextEncoder().encode(path.slice(1));
  const address = new Uint8Array(3 + name.length);
  address[0] = AF_UNIX;
  address.set(name, 3);
  return opened("connect", address, path);
}

function opened(call: "bind" | "connect", address: Uint8Array, path: string, then = () => {}): number {
  const socket = syscall("socket", [AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0]);
  try {
    setSocketTimeout(socket, PEER_TIMEOUT_S);
    syscall(call, [socket, address, address.length], [path]);
    then();
    return socket;
  } catch (error) {
    closeSync(socket);
    throw error;
  }
}

/** Receives the next datagram, truncated to the buffer; undefined if there is none. The kernel drops descriptors sent with it. recvfrom(2) */
export function receiveDatagram(socket: number, buffer: Uint8Array): Uint8Array | undefined {
  const length = trySyscall("recvfrom", socket, buffer, buffer.length, MSG_DONTWAIT, null, null);
  if (length >= 0) return buffer.subarray(0, length);
  const errno = errnoName(-length);
  if (errno === "EAGAIN" || errno === "EINTR") return undefined;
  throw new SyscallError("recvfrom", errno, [String(socket)]);
}
