import { nulTerminated } from "../abi/c-string.ts";
import type { SyscallName } from "../ffi/syscall.ts";
import { SyscallError } from "../syscall-error.ts";

/**
 * Programs for the stub: what they consist of, and their form on the wire. stub.c is the other end.
 *
 * A program is built by plain calls, in the order of execution. Nothing is executed here, so that the same program can be
 * explained, compared and tested without a kernel.
 */

/** A slot of the stub that keeps the result of an operation, also for later programs. */
export interface Register {
  readonly register: number;
}

/** Bytes inside the program; as an argument, their address. */
export interface Data {
  readonly bytes: Uint8Array;
  /** Offset of the part that is meant, from the start of the bytes. */
  readonly offset: number;
}

export type Argument = number | bigint | string | Register | Data;

export function isData(argument: Argument | undefined): argument is Data {
  return typeof argument === "object" && "bytes" in argument;
}

/** Condition on a register's value under which an operation is run; it is skipped, and changes nothing, otherwise. */
export type Guard = "ok" | "failed" | "zero" | "positive";

/**
 * Operations of the stub itself, beside the system calls. `await` takes an address, and waits in a busy loop until another
 * process has written a word there that is not 0.
 */
export type StubCall = "store" | "set-channel" | "copy" | "load" | "await";

export interface Operation {
  readonly call: SyscallName | StubCall;
  readonly args: readonly Argument[];
  /** Register that takes the result. */
  readonly into: Register | undefined;
  readonly guard: { readonly on: Register; readonly is: Guard } | undefined;
  /** errno names that are not failures; `"any"` stands for all. */
  readonly tolerate: readonly string[];
  /** JSON pointer of the config property that asked for this operation; empty for what every container needs. */
  readonly pointer: string;
  /** What the operation is for, as a person would say it: `mount proc on /proc`. */
  readonly purpose: string;
  /** The path or name that the operation acts on, for messages, where that isn't its first string argument. */
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
 * The first of the registers that take descriptors as they arrive, up to the last that the stub has (REGISTERS in stub.c). A
 * program's first operations copy them to where they are wanted, so all that come below are free for results.
 */
export const LANDING_REGISTER = 3800;

/** Hands out registers. One allocator belongs to one stub, since registers outlive programs. */
export class RegisterAllocator {
  #next = 0;

  /** `pointer` is the property that needs it: a config may ask for more than one stub can do. */
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
  /** Descriptors of this process that go with the program, and the registers that take their numbers in the stub. */
  readonly descriptors: { readonly fd: number; readonly into: Register }[] = [];
  /**
   * Sends no reply unless an operation fails; then the stub takes programs that find out why, and ends with 127 when the channel does.
   * For the program that ends in execve.
   */
  quiet = false;
  readonly registers: RegisterAllocator;
  #pointer = "";
  #purpose = "";

  constructor(registers: RegisterAllocator) {
    this.registers = registers;
  }

  /** Says which config property the operations that follow belong to, and what they are for. */
  about(pointer: string, purpose: string): this {
    this.#pointer = pointer;
    this.#purpose = purpose;
    return this;
  }

  /** Adds an operation and returns the register of its result. Arguments stand in the kernel's order. */
  call(call: SyscallName | StubCall, args: readonly Argument[], options: CallOptions = {}): Register {
    const into = options.into ?? this.registers.take(this.#pointer);
    this.#add(call, args, into, options);
    return into;
  }

  /** Adds an operation whose result nobody needs. */
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

  /** Forgets the operations, after they have been run, to go on with others. */
  clear(): void {
    this.operations.length = 0;
    this.outputs.length = 0;
    this.descriptors.length = 0;
  }

  /** Puts a value into data when the program runs: a pointer, or a result, that a struct must contain. */
  store(target: Data, value: Argument, width: 4 | 8, options: CallOptions = {}): void {
    this.do("store", [target, value, width], options);
  }

  /** `char *[]` of NUL-terminated strings, ended by a null pointer: argv and envp. Bytes, for text that is not UTF-8, have their NUL. */
  stringArray(strings: readonly (string | Uint8Array)[]): Data {
    const array = data(new Uint8Array(8 * (strings.length + 1)));
    strings.forEach((text, index) => {
      this.store(at(array, 8 * index), data(typeof text === "string" ? nulTerminated(text) : text), 8);
    });
    return array;
  }

  /** Bytes that system calls fill in and that come back with the reply. */
  output(length: number): Data {
    const output = data(new Uint8Array(length));
    this.outputs.push(output);
    return output;
  }

  /** Sends a descriptor of this process along; returns the register with its number in the stub. */
  descriptor(fd: number): Register {
    const into = this.registers.take(this.#pointer);
    this.descriptors.push({ fd, into });
    return into;
  }
}

export function data(bytes: Uint8Array): Data {
  return { bytes, offset: 0 };
}

/** The part of the data that begins `offset` bytes further. */
export function at(base: Data, offset: number): Data {
  return { bytes: base.bytes, offset: base.offset + offset };
}

/** A reply of the stub. */
export interface Reply {
  /** Results by operation, a negative errno where one failed and that was tolerated, 0 where it was skipped. */
  readonly results: readonly number[];
  /** The bytes of each `output`, in order. */
  readonly outputs: readonly Uint8Array[];
  /** Index and errno of the operation that stopped the program. */
  readonly failure: { readonly index: number; readonly errno: number } | undefined;
}
