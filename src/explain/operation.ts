import { currentPurpose, isPartOf, UNDO } from "../../bindings/ffi/purpose.ts";
import type { Guard } from "../../bindings/stub/program.ts";
import { hookOf, type NamedHook } from "../container/hooks/hooks.ts";

/** One operation of create or start. */
export interface ExplainedOperation {
  /** Step of the lifecycle in runtime.md. */
  readonly step: number;
  /** `runtime`, which is the calling process, or a process that it makes: `stub`, `init`, a hook. */
  readonly by: string;
  /** JSON pointer of the config property that asks for it; empty for what every container needs. */
  readonly pointer: string;
  readonly purpose: string;
  /** A system call, an operation of the stub itself, or a D-Bus method with its interface; UNIT_PROPERTY operations follow it. */
  readonly call: string;
  /** In the notation of strace(1), with names in angle brackets for values that only the real call would have. */
  readonly args: readonly string[];
  /** Name of the result, where other operations use it. */
  readonly result?: string;
  /** Condition on an earlier result. */
  readonly if?: { readonly result: string; readonly is: Guard };
  /** errno names that are no failure. */
  readonly tolerates?: readonly string[];
}

/** The call of an operation that is a property of the unit which the call before it is about: its name and its value. */
export const UNIT_PROPERTY = "property";

/** Headings of the steps of runtime.md, Lifecycle, that create and start take part in. */
export const STEPS: Readonly<Record<number, string>> = {
  2: "the environment is made, as config.json says",
  3: "prestart hooks",
  4: "createRuntime hooks",
  5: "createContainer hooks",
  6: "start is called",
  7: "startContainer hooks",
  8: "the program is run",
  9: "poststart hooks",
};

/** The kinds of hooks, and the step that each runs in. */
const HOOK_STEPS = [
  ["prestart", 3],
  ["createRuntime", 4],
  ["createContainer", 5],
  ["startContainer", 7],
  ["poststart", 9],
] as const;

export interface Explanation {
  readonly id: string;
  readonly bundle: string;
  readonly operations: readonly ExplainedOperation[];
  /** Warnings of create and start. */
  readonly warnings: readonly string[];
  /** Assumptions of the simulation, and what it can't tell. */
  readonly notes: readonly string[];
  /** The error that create or start would end with, after the last operation. */
  readonly error?: { readonly message: string; readonly pointer: string };
}

/** A step of the lifecycle, and the hook that runs in it. */
export interface Stage {
  readonly step: number;
  readonly hook?: NamedHook;
}

export class Recorder {
  readonly operations: ExplainedOperation[] = [];
  readonly warnings = new Set<string>();
  readonly notes = new Set<string>();
  /** The step while no hook runs. */
  step = 2;
  /** Whether operations are kept: nobody reads those of a warm-up. */
  keeps = true;

  get stage(): Stage {
    const hook = hookOf(currentPurpose());
    if (hook === undefined) return { step: this.step };
    return { step: HOOK_STEPS.find(([kind]) => kind === hook.kind)?.[1] ?? this.step, hook };
  }

  /** Adds an operation, unless it undoes a create that has failed. */
  add(operation: Omit<ExplainedOperation, "step">, step = this.stage.step): void {
    if (this.keeps && !isPartOf(UNDO)) this.operations.push({ step, ...operation });
  }

  /** Adds an operation of the runtime itself, with the current purpose. */
  addOwn(call: string, args: readonly string[]): void {
    const { pointer, purpose } = currentPurpose();
    const { hook } = this.stage;
    this.add({ by: "runtime", pointer: hook?.pointer ?? pointer, purpose: purpose || call, call, args });
  }
}
