import type { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";

/** For what the runtime opens in init's place, and hands to it with a program. */
export interface PrepareOptions {
  readonly containerPid: () => number;
  /** Gets the opened descriptors, to be closed when the program has been sent. */
  readonly opened: OwnedDescriptor[];
}
