import { currentPurpose } from "../../bindings/ffi/purpose.ts";
import type { StubChannel, StubTap } from "../../bindings/stub/client.ts";
import type { Operation, Program, Reply } from "../../bindings/stub/program.ts";
import { cloneChannel, type StubProcesses } from "../../bindings/stub/stub-processes.ts";
import { hookOf } from "../container/hooks/hooks.ts";
import { failureOf, type StepLog } from "./steps.ts";

/** Operations that make no system call, or are about the stub's channel: they are not steps. */
const OWN = new Set(["store", "copy", "load", "set-channel", "await", "init"]);

/**
 * Logs the steps of a program when the reply to it arrives. The last program, which may wait for `start`, gets no reply: its steps are
 * logged when it is sent.
 */
export class StubSteps implements StubTap {
  readonly #steps: StepLog;
  readonly #processes: StubProcesses;
  /** Name of the process that the stub clones: init, or that of an exec. */
  readonly #name: string;

  constructor(steps: StepLog, processes: StubProcesses, name: string) {
    this.#steps = steps;
    this.#processes = processes;
    this.#name = name;
  }

  spawn(channel: number, spawn: () => number): number {
    this.#processes.serve(channel, "stub");
    const pid = spawn();
    const { pointer, purpose } = currentPurpose();
    this.#steps.tell({ by: "runtime", pointer, purpose });
    return pid;
  }

  send({ descriptor }: StubChannel, program: Program): Program {
    const channel = cloneChannel(program);
    if (channel !== undefined) this.#processes.serve(channel, hookOf(currentPurpose())?.name ?? this.#name);
    if (program.quiet) {
      const by = `${this.#processes.nameOf(descriptor)}, on its own`;
      for (const { call, pointer, purpose } of program.operations)
        if (!OWN.has(call)) this.#steps.tell({ by, pointer, purpose });
    }
    return program;
  }

  sentAs(program: Program): Program {
    return program;
  }

  receive({ descriptor }: StubChannel, program: Program, receive: () => Reply): Reply {
    const reply = receive();
    const by = this.#processes.nameOf(descriptor);
    const run = this.#processes.run(descriptor, program, reply.results);
    for (let index = 0; index < run.length; ) {
      const first = run[index];
      if (first === undefined) break;
      const { pointer, purpose } = first.operation;
      const calls = run
        .slice(index, endOfStep(run, index))
        .filter(({ operation }) => !OWN.has(operation.call));
      index = endOfStep(run, index);
      if (calls.length === 0) continue;
      const failure = failureIn(calls, reply);
      this.#steps.tell({ by, pointer, purpose, ...(failure !== undefined && { failure }) });
    }
    return reply;
  }
}

interface Result {
  readonly operation: Operation;
  readonly index: number;
  readonly result: number;
}

/** Consecutive operations with one purpose and pointer are one step. */
function endOfStep(run: readonly Result[], begin: number): number {
  const first = run[begin]?.operation;
  let end = begin + 1;
  for (; end < run.length; end++) {
    const operation = run[end]?.operation;
    if (operation?.purpose !== first?.purpose || operation?.pointer !== first?.pointer) break;
  }
  return end;
}

/** The failure that ended the program; or the first one if every call of the step failed with a tolerated error. */
function failureIn(calls: readonly Result[], { failure }: Reply): string | undefined {
  const ended = calls.find(({ index }) => index === failure?.index);
  if (ended !== undefined) return failureOf(ended.operation.call, -ended.result);
  const [first] = calls;
  if (first === undefined || calls.some(({ result }) => result >= 0)) return undefined;
  return `${failureOf(first.operation.call, -first.result)}, which is not an error`;
}
