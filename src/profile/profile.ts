import { errnoName } from "../../bindings/abi/errno.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { currentPurpose } from "../../bindings/ffi/purpose.ts";
import { callKernel, type SyscallName, substituteKernel } from "../../bindings/ffi/syscall.ts";
import { type StubChannel, type StubTap, tapStubs } from "../../bindings/stub/client.ts";
import { at, type Data, type Operation, Program, pathOf, type Reply } from "../../bindings/stub/program.ts";
import { cloneChannel, StubProcesses } from "../../bindings/stub/stub-processes.ts";
import { hookOf } from "../container/hooks/hooks.ts";
import type { Outcome, Recording, TimedCall } from "./recording.ts";

/** struct timespec: seconds and nanoseconds. */
const TIMESPEC_SIZE = 16;
/** The only clock that no time namespace shifts: time_namespaces(7). */
const CLOCK_REALTIME = 0;

/** Measures a command's system calls: the runtime's own as it makes them, and the stubs' by the clock that stubs read between operations. */
export class Profile {
  readonly #command: string;
  readonly #container: string;
  readonly #calls: TimedCall[] = [];
  readonly #clock = new RuntimeClock();
  readonly #stubs: TimedStubs;

  /** Begins to measure. */
  constructor(command: string, container: string) {
    this.#command = command;
    this.#container = container;
    this.#stubs = new TimedStubs(this.#calls, this.#clock, command === "exec" ? "process" : "init");
    tapStubs(this.#stubs);
    substituteKernel((name, args) => this.#timed(name, args));
  }

  #timed(name: SyscallName, args: readonly NativeArgument[]): number {
    const begin = this.#clock.now();
    const result = callKernel(name, args);
    const end = this.#clock.now();
    const { pointer, purpose } = currentPurpose();
    const call = { by: "runtime", call: name, begin, end, pointer, purpose, path: pathIn(args) };
    this.#calls.push({ ...call, errno: errnoOf(result), isFatal: false });
    if (name === "socketpair") this.#stubs.pair(args[3]);
    return result;
  }

  /** Ends the measurement. */
  finish(outcome: Outcome): Recording {
    substituteKernel(undefined);
    tapStubs(undefined);
    const end = this.#clock.now();
    const calls = this.#calls.sort((one, other) => one.begin - other.begin);
    const { start } = this.#clock;
    return { command: this.#command, container: this.#container, start, end, calls, outcome };
  }
}

/** Symbolic errno of a system call's result; empty if it succeeded. */
function errnoOf(result: number): string {
  return result < 0 ? errnoName(-result) : "";
}

/** Microseconds since the profile began, which is also the zero of the stubs' times. */
class RuntimeClock {
  /** CLOCK_REALTIME when the profile began, in nanoseconds since 1970. */
  readonly start: bigint;
  readonly #zero: number;
  /** Low halves of its seconds and nanoseconds, which are enough for differences. */
  readonly #seconds: number;
  readonly #nanoseconds: number;

  constructor() {
    const time = new BigInt64Array(TIMESPEC_SIZE / 8);
    callKernel("clock_gettime", [CLOCK_REALTIME, new Uint8Array(time.buffer)]);
    this.#zero = performance.now();
    const [seconds = 0n, nanoseconds = 0n] = time;
    this.start = seconds * 1_000_000_000n + nanoseconds;
    this.#seconds = Number(BigInt.asIntN(32, seconds));
    this.#nanoseconds = Number(nanoseconds);
  }

  now(): number {
    return (performance.now() - this.#zero) * 1000;
  }

  /** Converts a reading of CLOCK_REALTIME by a stub, of which the low halves are given. */
  fromStub(seconds: number, nanoseconds: number): number {
    return (seconds - this.#seconds) * 1e6 + (nanoseconds - this.#nanoseconds) / 1000;
  }
}

/**
 * The first argument that is an absolute path, empty for none. The NUL of a path is its last byte. A buffer that the kernel fills is longer,
 * and may still have the text of an earlier call in it, even of the config with its secrets.
 */
function pathIn(args: readonly NativeArgument[]): string {
  for (const argument of args) {
    if (!(argument instanceof Uint8Array) || argument[0] !== "/".charCodeAt(0)) continue;
    const end = argument.indexOf(0);
    if (end === argument.length - 1) return Buffer.from(argument.buffer, argument.byteOffset, end).toString();
  }
  return "";
}

/** Inserts a reading of the clock before each operation of a program and after the last, and takes the readings out of the reply. */
class TimedStubs implements StubTap {
  readonly #calls: TimedCall[];
  readonly #clock: RuntimeClock;
  readonly #timed = new WeakMap<Program, { readonly program: Program; readonly times: Data }>();
  readonly #processes = new StubProcesses();
  /** Name of the process that the stub clones, unless it is a hook: init, or the process of an exec. */
  readonly #clone: string;
  #hooks = 0;

  constructor(calls: TimedCall[], clock: RuntimeClock, clone: string) {
    this.#calls = calls;
    this.#clock = clock;
    this.#clone = clone;
  }

  pair(ends: NativeArgument | undefined): void {
    this.#processes.pair(ends);
  }

  spawn(channel: number, spawn: () => number): number {
    this.#processes.serve(channel, "stub");
    const begin = this.#clock.now();
    const pid = spawn();
    const end = this.#clock.now();
    const { pointer, purpose } = currentPurpose();
    const call = { by: "runtime", call: "posix_spawn", begin, end, pointer, purpose, path: "" };
    this.#calls.push({ ...call, errno: "", isFatal: false });
    return pid;
  }

  send(_channel: StubChannel, program: Program): Program {
    const channel = cloneChannel(program);
    if (channel !== undefined) {
      const isHook = hookOf(currentPurpose()) !== undefined;
      this.#processes.serve(channel, isHook ? `hook ${++this.#hooks}` : this.#clone);
    }
    // The last program ends in execve, and gets no reply.
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
    const failure =
      reply.failure === undefined
        ? undefined
        : { ...reply.failure, index: Math.floor((reply.failure.index - 1) / 2) };
    if (bytes !== undefined) this.#record(channel, program, bytes, { results, failure });
    return { results, outputs: reply.outputs.slice(0, program.outputs.length), failure };
  }

  #record(
    { descriptor }: StubChannel,
    program: Program,
    bytes: Uint8Array,
    { results, failure }: Pick<Reply, "results" | "failure">,
  ): void {
    const received = this.#clock.now();
    const by = this.#processes.nameOf(descriptor);
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const time = (word: number) => this.#clock.fromStub(words[word] ?? 0, words[word + 2] ?? 0);
    for (const { operation, index, result } of this.#processes.run(descriptor, program, results)) {
      const { call, pointer, purpose } = operation;
      // Operations without a system call take no time.
      if (call === "store" || call === "copy" || call === "load") continue;
      const word = 4 * (index + 1);
      const isFatal = failure?.index === index;
      // After a failed operation the stub reads no clock; its reply arrives a little later.
      if (words[word] === 0 && !isFatal) continue;
      const begin = time(word - 4);
      const end = isFatal ? Math.max(begin, received) : time(word);
      const timed = { by, call, begin, end, pointer, purpose, path: pathOf(operation) };
      this.#calls.push({ ...timed, errno: errnoOf(result), isFatal });
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
