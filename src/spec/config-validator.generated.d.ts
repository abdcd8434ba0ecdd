import type { Config, LinuxResources, Process } from "./types.ts";

/** A violation of the schema, as ajv reports it. */
export interface SchemaError {
  /** JSON pointer of the value; for a missing property, of the object that lacks it. */
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** Converts 64-bit integers to bigints in place, so that a valid value has the type that it is given. */
export declare const validateConfig: ((data: unknown) => data is Config) & { errors?: SchemaError[] | null };
export declare const validateProcess: ((data: unknown) => data is Process) & {
  errors?: SchemaError[] | null;
};
export declare const validateResources: ((data: unknown) => data is LinuxResources) & {
  errors?: SchemaError[] | null;
};
