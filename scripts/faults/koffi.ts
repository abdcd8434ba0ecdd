import { SO_RCVTIMEO, SO_SNDTIMEO } from "../../bindings/abi/socket.ts";
import { syscallNumbers } from "../../bindings/abi/syscall-numbers.generated.ts";
import * as real from "../../bindings/ffi/koffi.ts";
import { currentPurpose } from "../../bindings/ffi/purpose.ts";
import {
  type Fault,
  isStalling,
  killMade,
  killRuntime,
  next,
  type OperationFacts,
  STALLED_WAIT_MS,
} from "./injection.ts";

/** Replaces bindings/ffi/koffi.ts in the test build: every bound C function can be made to fail. */

export type { NativeArgument, NativeFunction, NativeLibrary } from "../../bindings/ffi/koffi.ts";
export const addressOf = real.addressOf;
export const copyMemory = real.copyMemory;

type Arguments = readonly (real.NativeArgument | string)[];

const names = new Map<unknown, string>(
  Object.entries(process.arch === "arm64" ? syscallNumbers.arm64 : syscallNumbers.x64).map(
    ([name, number]) => [number, name],
  ),
);

/** System calls that can't fail: getpid(2), geteuid(2), getegid(2). */
const ALWAYS_SUCCESSFUL = new Set(["getegid", "geteuid", "getpid"]);

/** errno of a call that was made to fail. */
let injected: number | undefined;

export function lastErrno(): number {
  return injected ?? real.lastErrno();
}

export function loadLibrary(name: string | null): real.NativeLibrary {
  const library = real.loadLibrary(name);
  return { func: (prototype) => interceptable(prototype, library.func(prototype)) };
}

function interceptable(prototype: string, call: real.NativeFunction): real.NativeFunction {
  // These functions can't fail: they return nothing, or look up a table.
  if (/^(void|uint32_t) |_resolve_name/.test(prototype)) return call;
  const describe = (args: Arguments) => () => factsOf(prototype, args);
  const intercepted = (...args: Arguments): number | bigint => {
    injected = undefined;
    if (isCall(prototype, "syscall") && ALWAYS_SUCCESSFUL.has(names.get(args[0]) ?? "")) return call(...args);
    const fault = next(describe(args));
    const failed = fault === undefined ? undefined : strike(fault, prototype, call, args);
    return failed ?? call(...(isStalling() ? impatient(args) : args));
  };
  const async = (...args: readonly unknown[]): void => {
    const fault = next(() => factsOf(prototype, []));
    const callback = args.at(-1);
    if (fault?.mode === "fail" && typeof callback === "function") setImmediate(() => callback(null, -1));
    else {
      if (fault !== undefined) strike(fault, prototype, call, []);
      call.async(...args);
    }
  };
  return Object.assign(intercepted, { async });
}

/** The arguments of a call, with a shorter time limit if it waits or sets one. */
function impatient(args: Arguments): Arguments {
  const name = names.get(args[0]);
  const place = name === "ppoll" ? 3 : 4;
  const limited = name === "setsockopt" && (args[3] === SO_RCVTIMEO || args[3] === SO_SNDTIMEO);
  const given = args[place];
  if (!(given instanceof Uint8Array) || !(limited || name === "ppoll")) return args;
  const [seconds = 0n] = new BigInt64Array(given.buffer, given.byteOffset, 1);
  if (seconds === 0n) return args;
  const unit = name === "ppoll" ? 1_000_000 : 1000;
  const changed = [...args];
  changed[place] = new Uint8Array(BigInt64Array.of(0n, BigInt(STALLED_WAIT_MS * unit)).buffer);
  return changed;
}

/** Applies a fault to a call. Returns the result of a call that fails; undefined if the call has to be made anyway. */
function strike(
  fault: Fault,
  prototype: string,
  call: real.NativeFunction,
  args: Arguments,
): number | bigint | undefined {
  if (fault.mode === "kill-runtime") killRuntime();
  if (fault.mode === "kill-stub") killMade(fault);
  if (fault.mode !== "fail") return undefined;
  // A failed close(2) closes the descriptor as well.
  if (isCall(prototype, "syscall") && names.get(args[0]) === "close") call(...args);
  injected = fault.errno;
  if (isCall(prototype, "syscall")) return -1;
  if (/ posix_spawn\w*\(/.test(prototype)) return fault.errno;
  // Functions of libseccomp and libsystemd return a null pointer or a negative errno.
  return /^(uintptr_t|\w+ \*)/.test(prototype) ? 0n : -fault.errno;
}

function isCall(prototype: string, name: string): boolean {
  return prototype.includes(` ${name}(`);
}

function factsOf(prototype: string, args: Arguments): OperationFacts {
  const call = isCall(prototype, "syscall")
    ? (names.get(args[0]) ?? String(args[0]))
    : (/(\w+)\(/.exec(prototype)?.[1] ?? prototype);
  const { pointer, purpose } = currentPurpose();
  return {
    side: "runtime",
    call,
    path: args.map(textOf).find((text) => text !== "") ?? "",
    pointer,
    purpose,
  };
}

/** The text of a C string argument; empty for any other argument. */
function textOf(argument: unknown): string {
  if (!(argument instanceof Uint8Array) || argument.at(-1) !== 0) return "";
  const text = Buffer.from(argument.subarray(0, -1)).toString("latin1");
  return /^[\x20-\x7e]+$/.test(text) ? text : "";
}
