import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { callKernel, type SyscallName, substituteKernel } from "../../bindings/ffi/syscall.ts";
import { writeFileSync } from "../../bindings/linux/files.ts";
import { type StubChannel, type StubTap, tapStubs } from "../../bindings/stub/client.ts";
import { guardHolds } from "../../bindings/stub/guard.ts";
import { at, type Data, type Operation, Program, pathOf, type Reply } from "../../bindings/stub/program.ts";
import { summaryOf, type TimedCall, traceOf } from "./trace.ts";

/** struct timespec: seconds and nanoseconds. */
const TIMESPEC_SIZE = 16;
/** The one clock that no time namespace shifts: time_namespaces(7). */
const CLOCK_REALTIME = 0;

/**
 * Takes the time of a command's system calls: of the runtime's own where they are made, of the stubs' by the stubs' clock, which
 * is read between two operations. Off, nothing of this is loaded.
 */
export class Profile {
  readonly #file: string;
  readonly #command: string;
  readonly #calls: TimedCall[] = [];
  readonly #clock = new RuntimeClock();
  readonly #stubs: TimedStubs;

  constructor(file: string, command: string) {
    this.#file = file;
    this.#command = command;
    this.#stubs = new TimedStubs(this.#calls, this.#clock);
    tapStubs(this.#stubs);
    substituteKernel((name, args) => this.#timed(name, args));
  }

  #timed(name: SyscallName, args: readonly NativeArgument[]): number {
    const begin = this.#clock.now();
    const result = callKernel(name, args);
    const end = this.#clock.now();
    this.#calls.push({ by: "runtime", call: name, begin, end, pointer: "", purpose: "", path: pathIn(args) });
    if (name === "socketpair") this.#stubs.pair(args[3]);
    return result;
  }

  /** Writes the profile; returns a summary for people. */
  finish(): string {
    substituteKernel(undefined);
    tapStubs(undefined);
    const end = this.#clock.now();
    const calls = this.#calls.sort((one, other) => one.begin - other.begin);
    writeFileSync(this.#file, JSON.stringify(traceOf(calls, this.#command, end)));
    return summaryOf(calls, this.#command, end, this.#file);
  }
}

/** Microseconds since the profile began; the stubs' clock is set against it once. */
class RuntimeClock {
  readonly #zero: number;
  /** CLOCK_REALTIME at zero. */
  readonly #seconds: number;
  readonly #nanoseconds: number;

  constructor() {
    const time = new Int32Array(TIMESPEC_SIZE / 4);
    callKernel("clock_gettime", [CLOCK_REALTIME, new Uint8Array(time.buffer)]);
    this.#zero = performance.now();
    this.#seconds = time[0] ?? 0;
    this.#nanoseconds = time[2] ?? 0;
  }

  now(): number {
    return (performance.now() - this.#zero) * 1000;
  }

  /** The low halves of the seconds and of the nanoseconds, whose differences are what counts. */
  fromStub(seconds: number, nanoseconds: number): number {
    return (seconds - this.#seconds) * 1e6 + (nanoseconds - this.#nanoseconds) / 1000;
  }
}

/** The path that a call of the runtime is about. */
function pathIn(args: readonly NativeArgument[]): string {
  for (const argument of args) {
    if (!(argument instanceof Uint8Array) || argument[0] !== "/".charCodeAt(0)) continue;
    const end = argument.indexOf(0);
    if (end > 0) return Buffer.from(argument.buffer, argument.byteOffset, end).toString();
  }
  return "";
}

/** Puts a reading of the clock before, between and behind the operations of each program, and takes them out of the reply. */
class TimedStubs implements StubTap {
  readonly #calls: TimedCall[];
  readonly #clock: RuntimeClock;
  readonly #timed = new WeakMap<Program, { readonly program: Program; readonly times: Data }>();
  /** Ours by theirs. */
  readonly #pairs = new Map<number, number>();
  readonly #names = new Map<number, string>();
  /** What the registers hold, by channel: it decides which operations were skipped. */
  readonly #registers = new Map<number, Map<number, number>>();
  #hooks = 0;

  constructor(calls: TimedCall[], clock: RuntimeClock) {
    this.#calls = calls;
    this.#clock = clock;
  }

  pair(ends: NativeArgument | undefined): void {
    if (!(ends instanceof Uint8Array)) return;
    const [ours = -1, theirs = -1] = new Int32Array(ends.buffer, ends.byteOffset, 2);
    this.#pairs.set(theirs, ours);
  }

  spawn(channel: number, spawn: () => number): number {
    this.#serve(channel, "stub");
    const begin = this.#clock.now();
    const pid = spawn();
    const end = this.#clock.now();
    const purpose = "spawn the stub";
    this.#calls.push({ by: "runtime", call: "posix_spawn", begin, end, pointer: "", purpose, path: "" });
    return pid;
  }

  /** A process is at the other end of a channel. Numbers of descriptors come again, and with them a new process. */
  #serve(channel: number, name: string): void {
    const ours = this.#pairs.get(channel) ?? -1;
    this.#names.set(ours, name);
    this.#registers.delete(ours);
  }

  send(_channel: StubChannel, program: Program): Program {
    const channel = program.operations.find(({ call }) => call === "set-channel")?.args[0];
    if (typeof channel === "number") {
      this.#serve(channel, this.#hooks === 0 ? "init" : `hook ${this.#hooks}`);
      this.#hooks += 1;
    }
    // The last one ends in execve: there is nobody left to tell.
    if (program.quiet) return program;
    const timed = withTimes(program);
    this.#timed.set(program, timed);
    return timed.program;
  }

  sentAs(program: Program): Program {
    return this.#timed.get(program)?.program ?? program;
  }

  receive(channel: StubChannel, program: Program, receive: () => Reply): Reply {
    const reply = receive();
    const timed = this.#timed.get(program);
    if (timed === undefined) return reply;
    const results = reply.results.filter((_, index) => index % 2 === 1);
    const bytes = reply.outputs[timed.program.outputs.indexOf(timed.times)];
    if (bytes !== undefined) this.#record(channel, program, bytes, results);
    return {
      results,
      outputs: reply.outputs.slice(0, program.outputs.length),
      failure:
        reply.failure === undefined
          ? undefined
          : { ...reply.failure, index: Math.floor((reply.failure.index - 1) / 2) },
    };
  }

  #record(
    channel: StubChannel,
    { operations }: Program,
    bytes: Uint8Array,
    results: readonly number[],
  ): void {
    const by = this.#names.get(channel.descriptor) ?? "stub";
    const values = this.#registers.get(channel.descriptor) ?? new Map<number, number>();
    this.#registers.set(channel.descriptor, values);
    // What comes before the clone was its maker's; the clone has its memory, and so the times.
    const first = by === "stub" ? 0 : operations.findIndex(({ call }) => call === "clone3") + 1;
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    let begin = this.#clock.fromStub(words[0] ?? 0, words[2] ?? 0);
    for (let index = 0; index < results.length; index++) {
      const operation = operations[index];
      // Behind one that has failed, no clock is read.
      const word = 4 * (index + 1);
      if (operation === undefined || words[word] === 0) return;
      const end = this.#clock.fromStub(words[word] ?? 0, words[word + 2] ?? 0);
      if (guardHolds(operation, values)) {
        const { call, pointer, purpose, into } = operation;
        if (into !== undefined) values.set(into.register, results[index] ?? 0);
        // What the stub does without the kernel takes no time.
        if (index >= first && call !== "store" && call !== "copy" && call !== "load")
          this.#calls.push({ by, call, begin, end, pointer, purpose, path: pathOf(operation) });
      }
      begin = end;
    }
  }
}

function withTimes(program: Program): { readonly program: Program; readonly times: Data } {
  const timed = new Program(program.registers);
  timed.quiet = program.quiet;
  timed.outputs.push(...program.outputs);
  timed.descriptors.push(...program.descriptors);
  const times = timed.output(TIMESPEC_SIZE * (program.operations.length + 1));
  let index = 0;
  for (const operation of program.operations) {
    timed.operations.push(reading(at(times, TIMESPEC_SIZE * index++)), operation);
  }
  timed.operations.push(reading(at(times, TIMESPEC_SIZE * index)));
  return { program: timed, times };
}

function reading(into: Data): Operation {
  return {
    call: "clock_gettime",
    args: [CLOCK_REALTIME, into],
    into: undefined,
    guard: undefined,
    tolerate: [],
    pointer: "",
    purpose: "read the clock",
    path: undefined,
  };
}
