import { execa } from "execa";
import { afterAll, beforeAll, expect, type TestContext } from "vitest";
import { judgedTest, type TestOptions } from "../judged-test.ts";
import { PATH, type Result, RUNTIME, which } from "../runtime.ts";

/** An engine that was started for one file of tests, and works only with the runtime under test. */
export interface Engine {
  /** Containers and cgroups that a test has left. */
  left(): Promise<readonly string[]>;
  /** Removes them, after a test that failed. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** One thing that people do with the engine; afterwards nothing of it is left. */
export type Check<E> = (
  title: string,
  body: (engine: E, context: TestContext) => Promise<void>,
  options?: TestOptions,
) => void;

export interface EngineOptions<E> {
  /** Begins the titles. */
  readonly who: string;
  /** Programs without which the tests are skipped: Debian's package by program. */
  readonly programs: Readonly<Record<string, string>>;
  readonly open: () => Promise<E>;
  readonly openTimeoutMs?: number;
}

/** The tests of one file share one engine. */
export function engineTests<E extends Engine>(options: EngineOptions<E>): Check<E> {
  const { who, programs, open, openTimeoutMs = 300_000 } = options;
  const missing = Object.keys(programs).find((program) => which(program) === undefined);
  let engine: E | undefined;
  beforeAll(async () => {
    if (missing === undefined) engine = await open();
  }, openTimeoutMs);
  afterAll(() => engine?.close(), 60_000);
  return (words, body, options) => {
    const run = async (context: TestContext): Promise<void> => {
      const opened = engine;
      if (opened === undefined)
        return context.skip(`${missing} is not installed: apt-get install ${programs[missing ?? ""]}`);
      try {
        await body(opened, context);
        await expect.poll(() => opened.left()).toEqual([]);
      } catch (error) {
        await opened.clear();
        throw error;
      }
    };
    judgedTest({ title: `${who} ${words}`, path: RUNTIME, ...options }, run);
  };
}

export interface CommandOptions {
  /** All variables that it has beside PATH. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Nothing if it is not said. */
  readonly input?: string;
  readonly timeoutMs?: number;
}

/**
 * Runs a command of an engine up to its end. Unlike a runtime's, its output may go to pipes: the containers' goes through the
 * engine.
 */
export async function runCommand(command: readonly string[], options: CommandOptions = {}): Promise<Result> {
  const { env, cwd, input, timeoutMs = 60_000 } = options;
  const [program = "", ...args] = command;
  const done = await execa(program, args, {
    env: { PATH, ...env },
    extendEnv: false,
    reject: false,
    timeout: timeoutMs,
    stripFinalNewline: false,
    ...(cwd !== undefined && { cwd }),
    ...(input === undefined ? { stdin: "ignore" } : { input }),
  });
  return { code: done.timedOut ? 124 : (done.exitCode ?? 128), stdout: done.stdout, stderr: done.stderr };
}

/** The lines of an output that have something on them. */
export function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
