import { nulTerminated } from "../abi/c-string.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../abi/fcntl.ts";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from "../abi/socket.ts";
import { syscall } from "../ffi/syscall.ts";
import { chmodSync, closeSync, openSync } from "./files.ts";
import { dirname } from "./paths.ts";
import { limitWaiting, withTimeout } from "./socket-timeout.ts";

/**
 * Stream sockets of the AF_UNIX family, unix(7). A socket's address has room for 107 bytes of path: longer ones are reached
 * through the open directory.
 */

/** Makes a socket at `path` that only its owner may connect to, and listens on it. Returns its descriptor. */
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

/** How long a listener may let others wait, and a receiver not receive. */
const PEER_TIMEOUT_S = 60;

export function connectUnix(path: string): number {
  return withAddress(path, (address) => {
    const socket = syscall("socket", [AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0]);
    try {
      limitWaiting(socket, PEER_TIMEOUT_S);
      syscall("connect", [socket, address, address.length], [path]);
      return socket;
    } catch (error) {
      closeSync(socket);
      throw withTimeout(error, path);
    }
  });
}

/** Builds the `struct sockaddr_un` of a path. */
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
