import { EINTR, errnoName } from "../abi/errno.ts";
import type { NativeArgument, NativeFunction } from "../ffi/koffi.ts";
import { SyscallError } from "../syscall-error.ts";
import { exportEnvironment } from "./own-process.ts";
import { openLibrary } from "./shared-library.ts";

/** A D-Bus value: bigint for integers, string for strings and object paths, boolean, and arrays for arrays and structs. */
export type BusValue = string | bigint | boolean | readonly BusValue[];

export interface BusMethod {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** JSON pointers of the properties that ask for the items of the call's list. Not sent: `explain` and the like show them. */
  readonly pointers?: readonly string[];
}

/** An error reply from the other end, or from the bus itself. */
export class BusError extends Error {
  /** D-Bus name of the error: `org.freedesktop.systemd1.UnitExists`. */
  readonly errorName: string;
  readonly errno: string;

  constructor(errorName: string, message: string, errno: string) {
    super(message);
    this.name = "BusError";
    this.errorName = errorName;
    this.errno = errno;
  }
}

/** A connection to a message bus. Calls block until the reply arrives. sd-bus(3) */
export interface Bus {
  /** Calls a method with arguments of the given signature. `reply` has the letters of the basic types to read from the reply. */
  call(method: BusMethod, signature: string, args: readonly BusValue[], reply?: string): readonly BusValue[];
  /**
   * Waits for a signal whose arguments `matches` accepts; `signature` has the letters of their basic types. Returns false after `timeoutMs`
   * milliseconds.
   */
  awaitSignal(
    signal: Pick<BusMethod, "interface" | "member">,
    signature: string,
    matches: (args: readonly BusValue[]) => boolean,
    timeoutMs: number,
  ): boolean;
  close(): void;
}

/** Limit for a reply. systemd replies in milliseconds; a daemon-reload on a large host takes seconds. */
const CALL_TIMEOUT_US = 30_000_000n;
/** sd_bus_error: two pointers, the name and the message, and a flag. */
const ERROR_SIZE = 24;

let substitute: ((kind: "system" | "user") => Bus) | undefined;

/** Makes openBus return this bus, for `explain`, which only records the calls; undefined restores the real one. */
export function substituteBus(open: ((kind: "system" | "user") => Bus) | undefined): void {
  substitute = open;
}

/**
 * Connects to the system bus, or to the bus of the caller's user manager: sd_bus_open_system(3). Throws SyscallError: `dlopen` without
 * libsystemd, otherwise the error of the connection.
 */
export function openBus(kind: "system" | "user", soname = "libsystemd.so.0"): Bus {
  if (substitute !== undefined) return substitute(kind);
  // DBUS_SESSION_BUS_ADDRESS and XDG_RUNTIME_DIR.
  exportEnvironment();
  const library = bindings(soname);
  const pointer = new Pointer();
  const open = `sd_bus_open_${kind}`;
  check(library(`int ${open}(void *bus)`)(pointer.bytes), open);
  return new Connection(library, pointer.value);
}

/** Binds a C function at its first use. */
type Library = (prototype: string) => NativeFunction;

function bindings(soname: string): Library {
  const library = openLibrary(soname);
  const bound = new Map<string, NativeFunction>();
  return (prototype) => {
    const known = bound.get(prototype);
    if (known !== undefined) return known;
    const made = library.func(prototype);
    bound.set(prototype, made);
    return made;
  };
}

/** Memory for a pointer that a function returns through an argument. */
class Pointer {
  readonly words = new BigUint64Array(1);
  readonly bytes = new Uint8Array(this.words.buffer);

  get value(): bigint {
    return this.words[0] ?? 0n;
  }
}

class Connection implements Bus {
  readonly #library: Library;
  readonly #bus: bigint;

  constructor(library: Library, bus: bigint) {
    this.#library = library;
    this.#bus = bus;
  }

  call(method: BusMethod, signature: string, args: readonly BusValue[], reply = ""): readonly BusValue[] {
    const message = new Pointer();
    const create = this.#library(
      "int sd_bus_message_new_method_call(uintptr_t bus, void *m, const char *destination, const char *path, const char *interface, const char *member)",
    );
    const { destination, path, interface: type, member } = method;
    check(
      create(this.#bus, message.bytes, destination, path, type, member),
      "sd_bus_message_new_method_call",
      [member],
    );
    const answer = new Pointer();
    const error = new BigUint64Array(ERROR_SIZE / 8);
    try {
      this.#append(message.value, signature, args);
      const result = this.#library(
        "int sd_bus_call(uintptr_t bus, uintptr_t m, uint64_t usec, void *error, void *reply)",
      )(this.#bus, message.value, CALL_TIMEOUT_US, new Uint8Array(error.buffer), answer.bytes);
      if (Number(result) < 0) throw this.#errorOf(error, -Number(result));
      return this.#read(answer.value, reply);
    } finally {
      this.#unref(message.value);
      this.#unref(answer.value);
      this.#library("void sd_bus_error_free(void *e)")(new Uint8Array(error.buffer));
    }
  }

  awaitSignal(
    signal: Pick<BusMethod, "interface" | "member">,
    signature: string,
    matches: (args: readonly BusValue[]) => boolean,
    timeoutMs: number,
  ): boolean {
    const process = this.#library("int sd_bus_process(uintptr_t bus, void *m)");
    const wait = this.#library("int sd_bus_wait(uintptr_t bus, uint64_t usec)");
    const limit = performance.now() + timeoutMs;
    for (;;) {
      const message = new Pointer();
      const progress = Number(process(this.#bus, message.bytes));
      check(progress, "sd_bus_process");
      try {
        if (message.value !== 0n && this.#isSignal(message.value, signal)) {
          if (matches(this.#read(message.value, signature))) return true;
        }
      } finally {
        this.#unref(message.value);
      }
      if (progress > 0) continue;
      const left = limit - performance.now();
      if (left <= 0) return false;
      const waited = Number(wait(this.#bus, BigInt(Math.ceil(left * 1000))));
      if (waited !== -EINTR) check(waited, "sd_bus_wait");
    }
  }

  close(): void {
    this.#library("uintptr_t sd_bus_flush_close_unref(uintptr_t bus)")(this.#bus);
  }

  #isSignal(message: bigint, signal: Pick<BusMethod, "interface" | "member">): boolean {
    const test = this.#library(
      "int sd_bus_message_is_signal(uintptr_t m, const char *interface, const char *member)",
    );
    return Number(test(message, signal.interface, signal.member)) > 0;
  }

  #unref(message: bigint): void {
    if (message !== 0n) this.#library("uintptr_t sd_bus_message_unref(uintptr_t m)")(message);
  }

  #append(message: bigint, signature: string, values: readonly BusValue[]): void {
    let rest = signature;
    for (const value of values) {
      const type = firstType(rest);
      rest = rest.slice(type.length);
      this.#appendOne(message, type, value);
    }
  }

  #appendOne(message: bigint, type: string, value: BusValue): void {
    const code = type.charCodeAt(0);
    if (type === "v") {
      // As a BusValue, a variant is an array of its type and its value.
      const [inner, content] = asArray(value);
      this.#contain(message, "v", String(inner), () =>
        this.#append(message, String(inner), content === undefined ? [] : [content]),
      );
    } else if (type.startsWith("a")) {
      const element = type.slice(1);
      this.#contain(message, "a", element, () => {
        for (const each of asArray(value)) this.#appendOne(message, element, each);
      });
    } else if (type.startsWith("(")) {
      const members = type.slice(1, -1);
      this.#contain(message, "r", members, () => this.#append(message, members, asArray(value)));
    } else {
      const append = this.#library("int sd_bus_message_append_basic(uintptr_t m, char type, void *value)");
      check(append(message, code, basicBytes(type, value)), "sd_bus_message_append_basic", [type]);
    }
  }

  #contain(message: bigint, kind: string, contents: string, append: () => void): void {
    const open = this.#library(
      "int sd_bus_message_open_container(uintptr_t m, char type, const char *contents)",
    );
    check(open(message, kind.charCodeAt(0), contents), "sd_bus_message_open_container", [contents]);
    append();
    check(
      this.#library("int sd_bus_message_close_container(uintptr_t m)")(message),
      "sd_bus_message_close_container",
    );
  }

  #read(message: bigint, types: string): BusValue[] {
    const read = this.#library("int sd_bus_message_read_basic(uintptr_t m, char type, void *value)");
    const values: BusValue[] = [];
    for (let rest = types; rest !== ""; rest = rest.slice(1)) {
      const type = rest.charAt(0);
      const value = new Pointer();
      if (type === "v") {
        // Only variants of one string are read.
        const enter = this.#library(
          "int sd_bus_message_enter_container(uintptr_t m, char type, const char *contents)",
        );
        check(enter(message, "v".charCodeAt(0), "s"), "sd_bus_message_enter_container", ["s"]);
      }
      check(
        read(message, (type === "v" ? "s" : type).charCodeAt(0), value.bytes),
        "sd_bus_message_read_basic",
        [type],
      );
      values.push(type === "u" ? value.value : this.#text(value.value));
    }
    return values;
  }

  #errorOf(error: BigUint64Array<ArrayBuffer>, errno: number): BusError {
    const [name = 0n, message = 0n] = error;
    const code = errnoName(errno);
    return new BusError(this.#text(name), this.#text(message) || code, code);
  }

  /** Copies the C string at an address. */
  #text(address: bigint): string {
    if (address === 0n) return "";
    const length = Number(this.#library("size_t strlen(uintptr_t s)")(address));
    const bytes = new Uint8Array(length);
    this.#library("uintptr_t memcpy(void *to, uintptr_t from, size_t count)")(bytes, address, length);
    return Buffer.from(bytes).toString("utf8");
  }
}

/** The first complete type of a signature: D-Bus Specification, Type System. */
export function firstType(signature: string): string {
  let depth = 0;
  for (let index = 0; index < signature.length; index++) {
    const code = signature.charAt(index);
    if (code === "(") depth += 1;
    if (code === ")") depth -= 1;
    if (code !== "a" && depth === 0) return signature.slice(0, index + 1);
  }
  throw new RangeError(`${JSON.stringify(signature)} does not begin with a D-Bus type`);
}

export function asArray(value: BusValue | undefined): readonly BusValue[] {
  return Array.isArray(value) ? value : [];
}

/** The bytes that sd_bus_message_append_basic(3) takes a pointer to: a string, or a number of the type's width, at most 8 bytes. */
function basicBytes(type: string, value: BusValue): NativeArgument {
  if (type === "s" || type === "o") return Buffer.from(`${String(value)}\0`, "utf8");
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  if (type === "d") view.setFloat64(0, Number(value), true);
  // A boolean is an int of 0 or 1. Both architectures are little endian, so any width can be read from here.
  else
    view.setBigUint64(
      0,
      BigInt.asUintN(64, BigInt(value === true ? 1 : value === false ? 0 : String(value))),
      true,
    );
  return bytes;
}

function check(result: number | bigint, call: string, args: readonly string[] = []): void {
  if (Number(result) < 0) throw new SyscallError(call, errnoName(-Number(result)), args);
}
