import { toJson } from "./json-writer.ts";
import type { Config } from "./types.ts";

/** The same shape to be filled in: lists can be pushed to, and a 64-bit integer may be a number. */
export type Input<T> = T extends bigint
  ? bigint | number
  : T extends readonly (infer Item)[]
    ? Input<Item>[]
    : T extends object
      ? { -readonly [Key in keyof T]: Input<T[Key]> }
      : T;

/** A config.json of the OCI runtime spec 1.3, as an object. */
export type ConfigInput = Input<Config>;

/** What the command line would read from a file, so that one reader judges both. */
export function configText(config: ConfigInput): Uint8Array {
  return new TextEncoder().encode(toJson(config));
}
