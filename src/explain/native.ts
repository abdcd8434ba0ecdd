import type { NativeArgument } from "../../bindings/ffi/koffi.ts";

/** Reads arguments of the runtime's own system calls. */

export function bytesOf(argument: NativeArgument | undefined): Uint8Array {
  return argument instanceof Uint8Array ? argument : new Uint8Array(0);
}

/** The text of a C string. */
export function textOf(argument: NativeArgument | undefined): string {
  const bytes = bytesOf(argument);
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
