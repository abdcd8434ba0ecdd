import { nulTerminated } from "../abi/c-string.ts";
import type { SyscallName } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

/**
 * Programs for the stub. `encode.ts` writes them for the wire, and stub.c runs them.
 *
 * A program is built by plain calls, in the order of execution. Nothing is executed here, so that the same program can be explained,
 * compared and tested without a kernel.
 */

/** A slot in the stub that keeps the result of an operation, for later programs, too. */
export interface Register {
  readonly register: number;
}

/** Bytes inside the program. As an argument, the stub passes their address. */
export interface Data {
  readonly bytes: Uint8Array;
  /** Offset into the bytes that the address points to. */
  readonly offset: number;
}

export type Argument = number | bigint | string | Register | Data;

export function isData(argument: Argument | undefined): argument is Data {
  return typeof argument === "object" && "bytes" in argument;
}

/** Condition on a register's value. If it doesn't hold, the operation is skipped and changes nothing. */
export type Guard = "ok" | "failed" | "zero" | "positive";

/**
 * Operations of the stub itself, in addition to system calls. `await` takes an address and spins until another process has written a
 * non-zero word there. `init` forks: the child goes on with the program, and the parent stays pid 1, reaps, passes signals on to the child, and
 * exits with its code.
 */
export type StubCall = "store" | "set-channel" | "copy" | "load" | "await" | "init";

export interface Operation {
  readonly call: SyscallName | StubCall;
  readonly args: readonly Argument[];
  /** Register that takes the result. */
  readonly into: Register | undefined;
  readonly guard: { readonly on: Register; readonly is: Guard } | undefined;
  /** errno names that don't stop the program, at most three; `"any"` stands for all. */
  readonly tolerate: readonly string[];
  /** JSON pointer of the config property that asked for this operation; empty for what every container needs. */
  readonly pointer: string;
  /** The reason for the operation, for people: `mount proc on /proc`. */
  readonly purpose: string;
  /** The path or name that the operation acts on, for messages; undefined if it is the first string argument. */
  readonly path: string | undefined;
}

/** The path or name that an operation acts on; empty if there is none. */
export function pathOf({ path, args }: Operation): string {
  if (path !== undefined) return path;
  for (const argument of args) if (typeof argument === "string") return argument;
  return "";
}

export interface CallOptions {
  readonly into?: Register;
  readonly if?: readonly [Register, Guard];
  readonly tolerate?: readonly string[];
  readonly path?: string;
}

/**
 * First of the registers that take descriptors as they arrive; the last is the stub's last (REGISTERS in stub.c). The program's first
 * operations copy the descriptors to the registers that the program wants, so all registers below are free for results.
 */
export const LANDING_REGISTER = 3800;

/** Hands out registers. One allocator belongs to one stub, since registers outlive programs. */
export class RegisterAllocator {
  #next = 0;

  /** Takes a register. Throws SyscallError E2BIG, with the pointer of the property that needs it, if a config needs too many. */
  take(pointer = ""): Register {
    if (this.#next >= LANDING_REGISTER)
      throw new SyscallError("stub", "E2BIG", [`${pointer}: at most ${LANDING_REGISTER} registers`]);
    return { register: this.#next++ };
  }
}

const NOTHING: readonly string[] = [];

export class Program {
  readonly operations: Operation[] = [];
  readonly outputs: Data[] = [];
  /** Descriptors of this process that are sent with the program, and the registers for their numbers in the stub. */
  readonly descriptors: { readonly fd: number; readonly into: Register }[] = [];
  /**
   * Makes the stub reply only if an operation fails. It then still takes programs, which find out why, and exits with 127 when the channel is
   * closed. For the program that ends in execve.
   */
  quiet = false;
  readonly registers: RegisterAllocator;
  #pointer = "";
  #purpose = "";

  constructor(registers: RegisterAllocator) {
    this.registers = registers;
  }

  /** Sets the JSON pointer and the purpose of all operations that are added next. */
  about(pointer: string, purpose: string): this {
    this.#pointer = pointer;
    this.#purpose = purpose;
    return this;
  }

  /** Adds an operation and returns the register of its result. Arguments are in the kernel's order. */
  call(call: SyscallName | StubCall, args: readonly Argument[], options: CallOptions = {}): Register {
    const into = options.into ?? this.registers.take(this.#pointer);
    this.#add(call, args, into, options);
    return into;
  }

  /** Adds an operation whose result isn't needed. */
  do(call: SyscallName | StubCall, args: readonly Argument[], options: CallOptions = {}): void {
    this.#add(call, args, options.into, options);
  }

  #add(
    call: SyscallName | StubCall,
    args: readonly Argument[],
    into: Register | undefined,
    options: CallOptions,
  ): void {
    const condition = options.if;
    this.operations.push({
      call,
      args,
      into,
      guard: condition === undefined ? undefined : { on: condition[0], is: condition[1] },
      tolerate: options.tolerate ?? NOTHING,
      pointer: this.#pointer,
      purpose: this.#purpose,
      path: options.path,
    });
  }

  /** Empties the program after it was run, to add other operations. */
  clear(): void {
    this.operations.length = 0;
    this.outputs.length = 0;
    this.descriptors.length = 0;
  }

  /** Writes a value into data when the program runs: a pointer or a result that a struct contains. `width` is in bytes. */
  store(target: Data, value: Argument, width: 4 | 8, options: CallOptions = {}): void {
    this.do("store", [target, value, width], options);
  }

  /** A `char *[]` of NUL-terminated strings, ended by a null pointer: argv or envp. Strings given as bytes must have their NUL. */
  stringArray(strings: readonly (string | Uint8Array)[]): Data {
    const array = data(new Uint8Array(8 * (strings.length + 1)));
    strings.forEach((text, index) => {
      this.store(at(array, 8 * index), data(typeof text === "string" ? nulTerminated(text) : text), 8);
    });
    return array;
  }

  /** A buffer for system calls to fill, which is returned with the reply. `length` is in bytes. */
  output(length: number): Data {
    const output = data(new Uint8Array(length));
    this.outputs.push(output);
    return output;
  }

  /** Sends a descriptor of this process with the program; returns the register with its number in the stub. */
  descriptor(fd: number): Register {
    const into = this.registers.take(this.#pointer);
    this.descriptors.push({ fd, into });
    return into;
  }
}

export function data(bytes: Uint8Array): Data {
  return { bytes, offset: 0 };
}

/** The same bytes, `offset` bytes further. */
export function at(base: Data, offset: number): Data {
  return { bytes: base.bytes, offset: base.offset + offset };
}

/** The stub's reply to a program. */
export interface Reply {
  /** Results by operation: a negative errno for a tolerated failure, 0 for a skipped operation. */
  readonly results: readonly number[];
  /** The bytes of each `output`, in order. */
  readonly outputs: readonly Uint8Array[];
  /** Index and errno of the operation that stopped the program. */
  readonly failure: { readonly index: number; readonly errno: number } | undefined;
}
