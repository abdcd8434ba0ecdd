import { nulTerminated } from "../abi/c-string.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../abi/fcntl.ts";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from "../abi/socket.ts";
import { syscall } from "../ffi/syscall.ts";
import { chmodSync, closeSync, openSync } from "./files.ts";
import { dirname } from "./paths.ts";
import { setSocketTimeout, withTimeout } from "./socket-timeout.ts";

/**
 * AF_UNIX stream sockets, unix(7). A socket's address has room for a path of 107 bytes. Longer paths work, too: the address names the
 * socket below /proc/self/fd of its opened directory.
 */

/** Creates a listening socket at `path` to which only its owner may connect. Returns its descriptor. */
export function listenUnix(path: string): number {
  return withAddress(path, (address) => {
    const socket = syscall("socket", [AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0]);
    try {
      syscall("bind", [socket, address, address.length], [path]);
      chmodSync(path, 0o600);
      syscall("listen", [socket, 1], [path]);
      return socket;
    } catch (error) {
      closeSync(socket);
      throw error;
    }
  });
}

/** Limit for a peer that doesn't accept or receive. */
const PEER_TIMEOUT_S = 60;

/** Connects to the socket at `path`. Throws SyscallError, ETIMEDOUT after PEER_TIMEOUT_S. */
export function connectUnix(path: string): number {
  return withAddress(path, (address) => {
    const socket = syscall("socket", [AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0]);
    try {
      setSocketTimeout(socket, PEER_TIMEOUT_S);
      syscall("connect", [socket, address, address.length], [path]);
      return socket;
    } catch (error) {
      closeSync(socket);
      throw withTimeout(error, path);
    }
  });
}

/** Calls `action` with the `struct sockaddr_un` of a path, which is valid only during the call. */
export function withAddress<T>(path: string, action: (address: Uint8Array) => T): T {
  const directory = openSync(dirname(path), O_PATH | O_DIRECTORY | O_CLOEXEC);
  try {
    const bytes = nulTerminated(`/proc/self/fd/${directory}/${path.slice(path.lastIndexOf("/") + 1)}`);
    const address = new Uint8Array(2 + bytes.length);
    address[0] = AF_UNIX;
    address.set(bytes, 2);
    return action(address);
  } finally {
    closeSync(directory);
  }
}
