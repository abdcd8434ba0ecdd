import { AT_FDCWD } from "../../bindings/abi/fcntl.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import type { SyscallName } from "../../bindings/ffi/syscall.ts";
import { textOf } from "../explain/native.ts";

type Args = readonly NativeArgument[];

/** Follows which path each descriptor of the runtime is open at, and so tells which path a call is about. */
export class OpenPaths {
  readonly #paths = new Map<number, string>();

  /** Has to see each call before `of` is asked about it. */
  opened(call: SyscallName, args: Args, result: number): void {
    if ((call === "openat" || call === "openat2") && result >= 0)
      this.#paths.set(result, this.#at(args[0], args[1]));
    // For a pidfd, the pid stands in for the path.
    if (call === "pidfd_open" && result >= 0) this.#paths.set(result, String(args[0]));
    if (call === "close") this.#paths.delete(Number(args[0]));
  }

  of(call: SyscallName, args: Args): string {
    switch (call) {
      case "mkdirat":
      case "unlinkat":
      case "fchownat":
      case "renameat2":
        return this.#at(args[0], args[1]);
      case "bind":
      case "connect":
        return this.#at(AT_FDCWD, socketPath(args[1]));
      case "umount2":
        return this.#at(AT_FDCWD, args[0]);
      default:
        return this.#paths.get(Number(args[0])) ?? "";
    }
  }

  /** The path in absolute form, without /proc/self/fd. */
  #at(directory: NativeArgument | undefined, name: NativeArgument | undefined): string {
    const text = textOf(name);
    const [, fd, rest = ""] = /^\/proc\/self\/fd\/(\d+)(\/.*)?$/.exec(text) ?? [];
    const base = fd === undefined ? undefined : this.#paths.get(Number(fd));
    if (base !== undefined) return `${base}${rest}`;
    if (text.startsWith("/") || Number(directory) === AT_FDCWD) return text;
    return `${this.#paths.get(Number(directory)) ?? ""}/${text}`;
  }
}

/** struct sockaddr_un: the family, and the path. */
function socketPath(address: NativeArgument | undefined): NativeArgument {
  return address instanceof Uint8Array ? address.subarray(2) : null;
}
