import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Container } from "../container.ts";
import { parseObject } from "../json.ts";
import type { Sandbox } from "../sandbox.ts";
import { compareWithTrace, type Explained, type Explanation } from "./explained.ts";
import { compareRuntime } from "./explained-runtime.ts";
import { isFinished, readTrace, straceWrapper, type Trace, type TracedCall } from "./strace.ts";

const TIMEOUT = { timeoutMs: 60_000 };

/** Options of explain and create, and those in front of the command. */
export interface ExplainedOptions {
  readonly flags?: readonly string[];
  readonly globals?: readonly string[];
  /** Options of explain only. */
  readonly explainFlags?: readonly string[];
}

/**
 * Explains, creates and starts a container, and compares the explanation with strace(1) of each process. Returns the explanation.
 */
export async function compareWithExplanation(
  sandbox: Sandbox,
  container: Container,
  options: ExplainedOptions = {},
): Promise<Explanation> {
  const explained = await explain(sandbox, container, options);
  const folder = sandbox.path("traces");
  mkdirSync(folder);
  // The tracer writes there as the user who runs the container.
  chmodSync(folder, 0o777);
  const traced = (command: string) => ({
    wrapper: [...sandbox.wrapper, ...straceWrapper(join(folder, command))],
    ...TIMEOUT,
  });
  await container.created({ ...options, ...traced("create") });
  const started = await sandbox.invoke(["start", container.id], traced("start"));
  expect(started.stderr).toBe("");
  await container.until("stopped");
  const create = await finished(join(folder, "create"));
  const start = await finished(join(folder, "start"));
  const parts = [
    { trace: create, operations: explained.operations.filter(({ step }) => step < 6) },
    { trace: start, operations: explained.operations.filter(({ step, by }) => step >= 6 && by !== "init") },
  ];
  let compared = 0;
  for (const { trace, operations } of parts) compared += compareProcesses(trace, operations, explained);
  expect(compared).toBeGreaterThan(150);
  return explained;
}

async function explain(
  sandbox: Sandbox,
  container: Container,
  { flags = [], globals = [], explainFlags = [] }: ExplainedOptions,
): Promise<Explanation> {
  const result = await sandbox.invoke([
    ...globals,
    "explain",
    "--json",
    "--bundle",
    container.bundle,
    ...flags,
    ...explainFlags,
    container.id,
  ]);
  expect(result.stderr).toBe("");
  expect(result.code).toBe(0);
  const json = parseObject(result.stdout);
  expect(json.id).toBe(container.id);
  return JSON.parse(result.stdout);
}

/** Waits until the tracer has seen the end of the last process, and reads the trace. */
async function finished(prefix: string): Promise<Trace> {
  for (const deadline = Date.now() + 20_000; !isFinished(prefix); await sleep(20))
    if (Date.now() > deadline) throw new Error("a traced process has not ended after 20 s");
  return readTrace(prefix);
}

/** Compares the runtime, and then each stub and its clone in the order in which they were made. */
function compareProcesses(trace: Trace, operations: readonly Explained[], all: Explanation): number {
  const runtime = [...trace.values()].find((calls) => calls[0]?.call === "execve" && isRuntime(calls[0]));
  if (runtime === undefined) throw new Error("the runtime is not in the trace");
  let compared = compareRuntime(operations, runtime);
  const stubs = runtime.filter(
    ({ call, args }) => call === "clone3" && (args[0] ?? "").includes("CLONE_VFORK"),
  );
  const announced = stubsOf(operations);
  expect(stubs.length).toBe(announced.length);
  for (const [index, stub] of stubs.entries()) {
    const calls = afterExec(trace.get(stub.result) ?? []);
    const part = announced[index] ?? [];
    const isStub = ({ by }: Pick<Explained, "by">) => by === "stub" || by.startsWith("stub and ");
    compared += compareWithTrace(part.filter(isStub), calls);
    const clone = calls.find(({ call }) => call === "clone3");
    const name = part.find(({ by }) => !isStub({ by }) && by !== "runtime")?.by;
    if (clone === undefined || name === undefined) continue;
    const source = name === "init" ? all.operations : operations;
    const own = source.filter(({ by }) => by === name || by === `stub and ${name}`);
    compared += compareWithTrace(own, untilExec(trace.get(clone.result) ?? []));
  }
  return compared;
}

function isRuntime({ args }: TracedCall): boolean {
  return !(args[1] ?? "").includes("runts-init");
}

/** The explained operations of each stub and its clone. They begin where the runtime spawns the stub. */
function stubsOf(operations: readonly Explained[]): Explained[][] {
  const parts: Explained[][] = [];
  for (const operation of operations) {
    if (operation.call === "posix_spawn") parts.push([]);
    else if (operation.by !== "runtime") parts.at(-1)?.push(operation);
  }
  return parts;
}

/** The calls after execve(2): those before are posix_spawn(3)'s own. */
function afterExec(calls: readonly TracedCall[]): readonly TracedCall[] {
  return calls.slice(calls.findIndex(({ call }) => call === "execve") + 1);
}

/** The calls up to execve(2): those after are the container's program's. */
function untilExec(calls: readonly TracedCall[]): readonly TracedCall[] {
  const at = calls.findIndex(({ call }) => call === "execve");
  return at < 0 ? calls : calls.slice(0, at + 1);
}
