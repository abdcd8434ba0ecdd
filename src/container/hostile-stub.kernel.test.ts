import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fuzzing, Random } from "../../bindings/random.test-support.ts";
import { isData, type Program } from "../../bindings/stub/program.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";
import { sendExec } from "../init/prepare-process.ts";
import { rememberClone } from "../init/reap-lost-clone.ts";
import { Session } from "../init/session.ts";
import { planExec } from "../init/set-up-exec.ts";
import { spawnProcess } from "../init/spawn-process.ts";
import type { Process } from "../spec/types.ts";
import { inspectCaller } from "./caller/caller.ts";
import { applyHostLimits } from "./caller/credentials.ts";
import { HostileStubs, Puppet, replyBytes, sendRaw } from "./hostile-stub.test-support.ts";
import { awaitLastProgram } from "./process/exec-result.ts";

/**
 * All of `exec`, from the stub to the execve, with puppets in place of the stub and its clone. Whatever they answer, the runtime changes
 * no process but the true clone, soon ends with an error of one line, and leaves none of its processes behind.
 */

const process: Process = {
  cwd: "/",
  args: ["/bin/true"],
  rlimits: [{ type: "RLIMIT_CORE", soft: 0n, hard: 0n }],
  oomScoreAdj: 700,
};

const CANCELLED = 125;

/** Children that the runtime must not touch: one of a program that uses the library, and the init of another container. */
let [worker, otherInit]: Puppet[] = [];
let settings = "";
/** Puppets of the current case. */
let parent: Puppet;
let clone: Puppet;

beforeAll(() => {
  worker = new Puppet("worker");
  otherInit = new Puppet();
  rememberClone(otherInit.pid);
  settings = bystanders()
    .map((puppet) => puppet.settings)
    .join();
});

afterAll(() => {
  for (const puppet of bystanders()) puppet.end();
});

function bystanders(): Puppet[] {
  return [worker, otherInit].filter((puppet) => puppet !== undefined);
}

beforeEach(() => meet());
afterEach(() => part());

function meet(): void {
  parent = new Puppet("stub");
  clone = new Puppet();
}

function part(): void {
  for (const puppet of [parent, clone]) puppet.end();
}

/** The answers of the parent and the clone. */
interface Answers {
  /** Bytes that the parent sends in place of the true reply. */
  readonly parent?: (bytes: Uint8Array, program: Program) => Uint8Array;
  /** Bytes that the clone sends in place of its copy of the reply, and of all later replies. */
  readonly clone?: (bytes: Uint8Array, program: Program, count: number) => Uint8Array;
  /** The process that sends the clone's first reply. */
  readonly speaker?: Puppet | "runtime";
  /** The clone's pid, as the parent says. */
  readonly pid?: bigint;
  /** Those that hang up after their answer. */
  readonly hangsUp?: readonly ("parent" | "clone")[];
}

interface Outcome {
  /** The pid that the runtime took for the clone's. */
  readonly adopted: number | undefined;
  readonly error: unknown;
  readonly targets: ReadonlySet<number>;
  readonly longest: number;
}

function execWith(answers: Answers): Outcome {
  let count = 0;
  const stubs = new HostileStubs({
    parent,
    clone,
    answer: (program, channel) => {
      if (channel === "parent") answerAsParent(stubs, program, answers);
      else {
        count += 1;
        answerAsClone(stubs, program, answers, count);
      }
    },
  });
  let adopted: number | undefined;
  let error: unknown;
  try {
    exec((pid) => {
      adopted = pid;
    });
  } catch (thrown) {
    error = thrown;
  }
  const { targets, longest } = stubs;
  stubs.stop();
  return { adopted, error, targets, longest };
}

/** Does what `exec` does. */
function exec(spawned: (pid: number) => void): void {
  const caller = { ...inspectCaller(), privileged: true };
  const pending = spawnProcess({
    cgroup: undefined,
    keepFds: 0,
    ignoredSignals: [],
    privileged: true,
  });
  try {
    const session = new Session(pending);
    const options = {
      process,
      credentials: {
        lastCapability: caller.lastCapability,
        permitted: caller.permitted,
        keepSysAdmin: false,
        canSetGroups: true,
        keepsGroups: false,
        warn: () => undefined,
      },
      staysDumpable: false,
      addedEnv: [],
      stdio: { nulls: [], chown: [] },
      attributes: undefined,
      landlock: undefined,
      start: { keepFds: 0, gaps: [], inheritedNofile: undefined, seccomp: undefined },
      userNamespaceRoot: undefined,
      consoleSocket: undefined,
      chooseCpus: undefined,
    };
    const planned = planExec(session, options);
    const pid = session.awaitProcess();
    spawned(pid);
    applyHostLimits(pid, process, caller);
    session.send();
    const last = sendExec(session, planned, options, undefined);
    awaitLastProgram(pending.channel.descriptor, last);
  } catch (error) {
    pending.kill();
    throw error;
  } finally {
    pending.close();
  }
}

function answerAsParent(stubs: HostileStubs, program: Program, answers: Answers): void {
  const index = program.operations.findIndex(({ call }) => call === "clone3");
  const results = new Map(index < 0 ? [] : [[index, answers.pid ?? BigInt(clone.pid)]]);
  const bytes = replyBytes(program, results);
  sendRaw(stubs.end("parent"), answers.parent?.(bytes, program) ?? bytes);
  if (index < 0) return;
  const own = replyBytes(program, new Map());
  const said = answers.clone?.(own, program, 0) ?? own;
  const speaker = answers.speaker ?? clone;
  if (speaker === "runtime") sendRaw(stubs.end("clone"), said);
  else speaker.say(stubs.end("clone"), said);
  for (const who of answers.hangsUp ?? []) stubs.hangUp(who);
}

/** A set-up that succeeds: the working directory is in the container, and so is the program. */
function answerAsClone(stubs: HostileStubs, program: Program, answers: Answers, count: number): void {
  if (program.quiet) {
    const said = answers.clone?.(new Uint8Array(), program, count) ?? new Uint8Array();
    sendRaw(stubs.end("clone"), said);
    stubs.hangUp("clone");
    return;
  }
  const fill = new Map<Uint8Array, Uint8Array>();
  for (const { call, args } of program.operations) {
    const [buffer] = args;
    if (call === "getcwd" && isData(buffer)) fill.set(buffer.bytes, Buffer.from("/"));
  }
  const bytes = replyBytes(program, new Map(), fill);
  sendRaw(stubs.end("clone"), answers.clone?.(bytes, program, count) ?? bytes);
}

/** Bytes of the longest answer that any of the programs can have. */
const MOST_BYTES = 32 * 1024;

/** Checks what holds whatever was answered. Returns the errno, "" for success. */
function judge({ adopted, error, targets, longest }: Outcome): string {
  const allowed = [parent.pid, clone.pid];
  expect([...targets].filter((pid) => !allowed.includes(pid))).toEqual([]);
  expect(adopted ?? clone.pid).toBe(clone.pid);
  expect(longest).toBeLessThan(MOST_BYTES);
  expect(parent.isAlive).toBe(false);
  if (error === undefined) return "";
  // The clone has ended, whether the runtime knew it or not.
  expect(clone.isAlive).toBe(false);
  if (!(error instanceof RuntsError || error instanceof SyscallError)) throw error;
  expect(error.message).toMatch(/^.+$/);
  return error.errno ?? "";
}

function bystandersAreWell(): void {
  expect(bystanders().every(({ isAlive }) => isAlive)).toBe(true);
  expect(
    bystanders()
      .map((puppet) => puppet.settings)
      .join(),
  ).toBe(settings);
}

test("true answers: the clone is accepted and given its limits", () => {
  const outcome = execWith({});
  expect(judge(outcome)).toBe("");
  expect(outcome.adopted).toBe(clone.pid);
  expect(outcome.targets).toContain(clone.pid);
  expect(clone.settings).toMatch(/^700\n/);
  bystandersAreWell();
});

describe("a stub that names another process than its clone", () => {
  test.each<[string, () => bigint]>([
    ["another child of the caller's", () => BigInt(worker?.pid ?? 0)],
    ["the init of another container", () => BigInt(otherInit?.pid ?? 0)],
    ["itself", () => BigInt(parent.pid)],
    ["the runtime", () => BigInt(globalThis.process.pid)],
    ["who started the runtime", () => BigInt(globalThis.process.ppid)],
    ["the first process", () => 1n],
    ["all processes of the group", () => 0n],
    ["a process that does not exist", () => 0x3f_ffffn],
    ["a number that is the clone's in 32 bits", () => BigInt(clone.pid) + (1n << 32n)],
    ["a number that is another child's in 32 bits", () => BigInt(worker?.pid ?? 0) + (1n << 32n)],
    ["a group", () => BigInt(-(worker?.pid ?? 0)) - 4096n],
    ["a number beyond those of JavaScript", () => (1n << 63n) - 1n],
  ])("%s: a protocol error, the process is not touched, and the clone is ended", (_, pid) => {
    const outcome = execWith({ pid: pid() });
    expect(judge(outcome)).toBe("EPROTO");
    expect(outcome.adopted).toBeUndefined();
    bystandersAreWell();
  });
});

describe("another process that answers in place of the clone", () => {
  test.each<[string, () => Answers]>([
    ["the stub itself", () => ({ speaker: parent })],
    ["a process of the caller's", () => ({ speaker: worker ?? parent })],
    ["one that is not a child", () => ({ speaker: "runtime" })],
    [
      "one that is not a child, and that the stub names",
      () => ({ speaker: "runtime", pid: BigInt(globalThis.process.pid) }),
    ],
    ["another one than the stub names", () => ({ speaker: worker ?? parent, pid: BigInt(parent.pid) })],
  ])("%s: a protocol error", (_, answers) => {
    expect(judge(execWith(answers()))).toBe("EPROTO");
    bystandersAreWell();
  });
});

describe("a stub or a clone that does not answer", () => {
  const nothing = () => new Uint8Array();

  test.each<[string, Answers, string]>([
    ["the stub is silent", { parent: nothing }, "ETIMEDOUT"],
    ["the stub hangs up", { parent: nothing, hangsUp: ["parent"] }, "EPIPE"],
    ["the clone is silent", { clone: nothing }, "ETIMEDOUT"],
    ["the clone hangs up", { clone: nothing, hangsUp: ["clone"] }, "EPIPE"],
    [
      "the clone is silent from the set-up on",
      { clone: (bytes, _, count) => (count === 1 ? nothing() : bytes) },
      "ETIMEDOUT",
    ],
  ])("%s: an error, and both are ended", (_, answers, errno) => {
    expect(judge(execWith(answers))).toBe(errno);
  });
});

describe("random answers", () => {
  const { cases, seed } = fuzzing(1000);
  const random = new Random(seed);
  const numbers = [0, 1, 2, CANCELLED, 4095, 4096, 0x7fffffff, 0xffffffff];

  function change(given: Uint8Array): Uint8Array {
    const bytes = Uint8Array.from(given);
    const view = new DataView(bytes.buffer);
    if (bytes.length < 8) return random.bytes(random.below(64));
    switch (random.below(7)) {
      case 0:
        view.setUint32(random.pick([0, 4]), random.pick(numbers), true);
        return bytes;
      case 1:
        return bytes.subarray(0, random.below(bytes.length));
      case 2:
        return Buffer.concat([bytes, random.bytes(1 + random.below(64))]);
      case 3:
        for (let count = 1 + random.below(8); count > 0; count--)
          bytes[random.below(bytes.length)] = random.below(256);
        return bytes;
      case 4:
        return random.bytes(bytes.length);
      case 5: {
        // Like the reply to a program that fails.
        const ran = 1 + random.below(view.getUint32(0, true));
        const errno = 1 + random.below(133);
        view.setUint32(0, ran, true);
        view.setUint32(4, errno, true);
        view.setBigInt64(8 * ran, BigInt(-errno), true);
        return Buffer.concat([bytes.subarray(0, 8 + 8 * ran), bytes.subarray(8 + 8 * ran)]);
      }
      default:
        return Buffer.concat([bytes, bytes]);
    }
  }

  function anyAnswers(): Answers {
    const victims = [worker, otherInit, parent, clone].map((puppet) => puppet?.pid ?? 0);
    const speaker = random.pick([parent, worker ?? parent, "runtime" as const]);
    const wrong = [...victims, globalThis.process.pid, globalThis.process.ppid, 0, 1, -1, 2 ** 32];
    const strikes = random.below(4);
    return {
      // Never a child that sends the clone's reply of its own will: the kernel could not tell it from the clone.
      ...(random.chance(0.5)
        ? random.chance(0.6) && { pid: BigInt(random.pick(wrong)) }
        : random.chance(0.4) && { speaker }),
      ...(random.chance(0.3) && { parent: change }),
      ...(random.chance(0.5) && {
        clone: (bytes: Uint8Array, _: Program, count: number) => (count === strikes ? change(bytes) : bytes),
      }),
      hangsUp: random.chance(0.7) ? ["parent"] : [],
    };
  }

  test(`${cases} of them: no process but the clone is touched, and the error is one line`, () => {
    const outcomes = new Set<string>();
    for (let count = 0; count < cases; count++) {
      part();
      meet();
      outcomes.add(judge(execWith(anyAnswers())));
    }
    bystandersAreWell();
    for (const outcome of ["", "EPROTO", "ETIMEDOUT", "EPIPE"]) expect(outcomes).toContain(outcome);
  }, 60_000);
});
