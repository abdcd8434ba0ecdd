import { byteText, nulTerminatedBytes } from "../../bindings/abi/byte-text.ts";
import { EACCES, ENOENT, ENOTDIR } from "../../bindings/abi/errno.ts";
import {
  AT_EACCESS,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  RESOLVE_NO_MAGICLINKS,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  STATX_BASIC_STATS,
  STATX_MNT_ID,
} from "../../bindings/abi/fcntl.ts";
import { FIONREAD } from "../../bindings/abi/ioctl.ts";
import { statx } from "../../bindings/abi/layouts.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import { waitAnyReadable, waitReadable } from "../../bindings/linux/poll.ts";
import { setSocketTimeout } from "../../bindings/linux/socket-timeout.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import { data, type Program, type Reply } from "../../bindings/stub/program.ts";
import { OPEN_HOW_SIZE, openHow } from "../plan/structs.ts";

/**
 * Files as the container's process sees them: the stub looks, with the process's root, user and working directory, and so
 * nothing of the host is in reach, whatever a path leads to. All paths are byte text.
 */

const LINK_LENGTH = 4096;
/** The kernel follows as many: path_resolution(7). */
const MAX_LINKS = 40;

export interface ContainerFile {
  readonly path: string;
  readonly type: number;
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mountId: number;
  /** Whether the process may execute it, or search it if it is a directory. */
  readonly accessible: boolean;
  /** Target of a symbolic link. */
  readonly link: string;
}

/** The end of a path: a file, nothing, or a directory that the process may not search. */
export type Destination =
  | { readonly kind: "file"; readonly file: ContainerFile }
  | { readonly kind: "missing"; readonly path: string }
  | { readonly kind: "closed"; readonly file: ContainerFile };

/** The files of one container, for as long as the time for looking at them lasts: what is asked for after that is an error. */
export class ContainerFiles {
  readonly #channel: StubChannel;
  readonly #deadline: number;

  /** The deadline is one of performance.now(). */
  constructor(channel: StubChannel, deadline: number) {
    this.#channel = channel;
    this.#deadline = deadline;
  }

  /** Follows a path component by component, as the kernel would. */
  follow(path: string): Destination {
    const pending = path.split("/").filter((part) => part !== "" && part !== ".");
    let links = 0;
    let at = path.startsWith("/") ? "" : ".";
    let found = this.#lookAt(at === "" ? "/" : at);
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      if (found === undefined) break;
      if (found.type !== S_IFDIR || !found.accessible) return { kind: "closed", file: found };
      const next = `${at}/${name}`;
      const entry = this.#lookAt(next);
      if (entry === undefined) return { kind: "missing", path: next };
      if (entry.type === S_IFLNK) {
        links += 1;
        if (links > MAX_LINKS) return { kind: "missing", path: next };
        pending.unshift(...entry.link.split("/").filter((part) => part !== "" && part !== "."));
        if (!entry.link.startsWith("/")) continue;
        at = "";
        found = this.#lookAt("/");
        continue;
      }
      at = next;
      found = entry;
    }
    return found === undefined ? { kind: "missing", path: at || "/" } : { kind: "file", file: found };
  }

  #lookAt(path: string): ContainerFile | undefined {
    const program = this.#channel.program();
    const bytes = program.output(statx.size);
    const link = program.output(LINK_LENGTH);
    const name = data(nulTerminatedBytes(path));
    const tolerate = ["any"];
    const mask = STATX_BASIC_STATS | STATX_MNT_ID;
    const X_OK = 1;
    program.do("statx", [AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, mask, bytes], { tolerate });
    program.do("faccessat2", [AT_FDCWD, name, X_OK, AT_EACCESS], { tolerate });
    program.do("readlinkat", [AT_FDCWD, name, link, LINK_LENGTH], { tolerate });
    const { results, outputs } = this.#run(program);
    const [stat, access] = [answer(results[0], [-ENOENT, -ENOTDIR]), answer(results[1], [-EACCES, -ENOENT])];
    if (stat !== 0) return undefined;
    return containerFile(path, Buffer.from(outputs[0] ?? []), {
      accessible: access === 0,
      link: byteText((outputs[1] ?? new Uint8Array()).subarray(0, Math.max(0, results[2] ?? 0))),
    });
  }

  /** A part of a regular file: shorter at its end, undefined if it can't be read. */
  readPart(path: string, offset: number, length: number): Uint8Array | undefined {
    const program = this.#channel.program();
    const content = program.output(length);
    const tolerate = ["any"];
    // Something else may have taken the file's place since: with these flags a FIFO does not block, and a terminal is not acquired.
    const how = openHow(O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0, RESOLVE_NO_MAGICLINKS);
    const name = data(nulTerminatedBytes(path));
    const file = program.call("openat2", [AT_FDCWD, name, how, OPEN_HOW_SIZE], { tolerate });
    program.do("pread64", [file, content, length, offset], { if: [file, "ok"], tolerate });
    program.do("close", [file], { if: [file, "ok"], tolerate });
    const { results, outputs } = this.#run(program);
    if ((results[0] ?? -1) < 0 || (results[1] ?? -1) < 0) return undefined;
    return outputs[0]?.slice(0, results[1]);
  }

  /**
   * A filter may ask a supervisor, a file system may not answer at all, and a process of the container may hold the stub up: the reply
   * is not taken before all of it is there.
   */
  #run(program: Program): Reply {
    const { descriptor } = this.#channel;
    setSocketTimeout(descriptor, this.#secondsLeft());
    this.#channel.send(program);
    const length = replyLength(program);
    for (;;) {
      waitReadable(descriptor, Math.ceil(this.#secondsLeft() * 1000));
      const queued = queuedBytes(descriptor);
      // None at all is the end of the stub.
      if (queued === 0 || queued >= length) break;
      waitAnyReadable([], 1);
    }
    setSocketTimeout(descriptor, this.#secondsLeft());
    return this.#channel.receive();
  }

  #secondsLeft(): number {
    const left = this.#deadline - performance.now();
    if (left <= 0) throw new Error("the time for looking at the container's files is over");
    return left / 1000;
  }
}

/** The length in bytes of the reply to a program whose operations are all reached. */
function replyLength({ descriptors, operations, outputs }: Program): number {
  const HEAD = 8;
  const results = 8 * (descriptors.length + operations.length);
  return outputs.reduce((length, { bytes }) => length + ((bytes.length + 7) & ~7), HEAD + results);
}

/** unix(7), SIOCINQ: what can be read of a stream socket at once. */
function queuedBytes(socket: number): number {
  const queued = new Int32Array(1);
  syscall("ioctl", [socket, FIONREAD, new Uint8Array(queued.buffer)], ["FIONREAD"]);
  return queued[0] ?? 0;
}

/** A seccomp filter may give any error to a call: only what the call itself says of a file counts. */
function answer(result: number | undefined, errors: readonly number[]): number {
  if (result === 0 || (result !== undefined && errors.includes(result))) return result;
  throw new Error("the container does not let its files be looked at");
}

function containerFile(
  path: string,
  bytes: Buffer,
  rest: Pick<ContainerFile, "accessible" | "link">,
): ContainerFile {
  const mode = bytes.readUInt16LE(statx.stx_mode);
  return {
    path,
    type: mode & S_IFMT,
    permissions: mode & 0o7777,
    uid: bytes.readUInt32LE(statx.stx_uid),
    gid: bytes.readUInt32LE(statx.stx_gid),
    size: Number(bytes.readBigUInt64LE(statx.stx_size)),
    mountId: Number(bytes.readBigUInt64LE(statx.stx_mnt_id)),
    ...rest,
  };
}
