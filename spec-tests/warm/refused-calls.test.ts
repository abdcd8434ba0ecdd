import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { readTrace, straceWrapper } from "../harness/explain/strace.ts";
import { HAS_WARM_START, Installation, WARM } from "../harness/helpers/installation.ts";
import { PATH } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const CLAUSE = "promise: warm start";

/** A call of the launcher: its name, and its number among the calls by that name. */
interface Refused {
  readonly call: string;
  readonly number: number;
}

/** Calls whose failure changes nothing. */
const IGNORED = ["close", "prlimit64"];

/** The first call that only a warm start makes, which opens the image, and the last one before the launcher is the engine. */
const FIRST = "openat";
const LAST = "close_range";

/** Starts at once, as many as a small machine has processors. */
const AT_ONCE = 2;

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe.runIf(HAS_WARM_START)("system calls of a warm start", () => {
  let installation: Installation;
  beforeAll(() => {
    installation = new Installation();
    installation.warm();
  });
  afterAll(() => installation.remove());

  async function ask(words: readonly string[], wrapper: readonly string[] = []): Promise<Answer> {
    const [file = "", ...rest] = [...wrapper, installation.runtime, ...words];
    const child = spawn(file, rest, { env: { PATH, ...WARM }, stdio: ["ignore", "pipe", "pipe"] });
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "exit"),
    ]);
    return { code, stdout, stderr };
  }

  /** A wrapper that makes one call fail with ENOMEM. */
  function refusing({ call, number }: Refused): readonly string[] {
    const inject = `inject=${call}:error=ENOMEM:when=${number}`;
    return ["strace", "--quiet=all", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject];
  }

  async function callsOfStart(sandbox: Sandbox): Promise<Refused[]> {
    const prefix = sandbox.path("start");
    await ask(
      ["--version"],
      straceWrapper(prefix).filter((word) => word !== "-D"),
    );
    const [calls = []] = [...readTrace(prefix).values()];
    const names = calls.map(({ call }) => call);
    const counted = new Map<string, number>();
    const all = names.map((call) => {
      counted.set(call, (counted.get(call) ?? 0) + 1);
      return { call, number: counted.get(call) ?? 0 };
    });
    return all.slice(names.indexOf(FIRST), names.lastIndexOf(LAST) + 1);
  }

  async function answersOf(
    calls: readonly Refused[],
    words: readonly string[],
  ): Promise<Map<Refused, Answer>> {
    const answers = new Map<Refused, Answer>();
    const left = [...calls];
    const worker = async () => {
      for (let one = left.pop(); one !== undefined; one = left.pop())
        answers.set(one, await ask(words, refusing(one)));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return answers;
  }

  const named = ({ call, number }: Refused) => `${call} ${number}`;

  spec(
    "warm --check, any one system call of the start fails: the start is cold",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "strace");
      const calls = await callsOfStart(sandbox);
      const answers = await answersOf(calls, ["warm", "--check"]);
      const warm = [...answers].filter(([, { code }]) => code === 0).map(([one]) => one.call);
      expect([...new Set(warm)].sort()).toEqual(IGNORED);
      for (const [one, { stdout, stderr }] of answers) {
        expect(stderr, named(one)).toBe("");
        expect(stdout, named(one)).toMatch(IGNORED.includes(one.call) ? /^warm: / : /^cold: /);
      }
    },
  );

  async function expectSame(calls: readonly Refused[], words: readonly string[]): Promise<void> {
    const known = await ask(words);
    const answers = await answersOf(calls, words);
    const wrong = [...answers].filter(([, answer]) => JSON.stringify(answer) !== JSON.stringify(known));
    expect(wrong.map(([one, answer]) => ({ one: named(one), answer }))).toEqual([]);
  }

  spec(
    "state, any one system call of the start fails: the answer is right",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "strace");
      const container: Container = sandbox.shell("sleep 100");
      await container.started();
      const calls = await callsOfStart(sandbox);
      await expectSame(calls, ["--root", sandbox.root, "state", container.id]);
    },
  );
});
