import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type TestContext } from "vitest";
import type { Container } from "../harness/container.ts";
import { asObject } from "../harness/json.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "profile: OpenTelemetry";
const PEERS = { both: "has no such command" } as const;
const SCHEMA = "/usr/lib/python3/dist-packages/opentelemetry/proto/collector/trace/v1/trace_service_pb2.py";
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const CALLER = "b7ad6b7169203331";
const TRACEPARENT = `TRACEPARENT=00-${TRACE}-${CALLER}-01`;

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  readonly name: string;
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly error: string | undefined;
  readonly events: readonly string[];
}

interface Exported {
  readonly resource: Readonly<Record<string, unknown>>;
  readonly spans: readonly Span[];
}

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.map(asObject) : [];
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function attributes(found: unknown): Record<string, unknown> {
  return Object.fromEntries(
    list(found).map(({ key, value }) => {
      const [kind = "", content] = Object.entries(asObject(value))[0] ?? [];
      if (kind === "intValue") return [key, Number(content)];
      if (kind === "arrayValue")
        return [key, list(asObject(content).values).map(({ stringValue }) => stringValue)];
      return [key, content];
    }),
  );
}

/** Reads a file that `--profile-format otlp` has written. */
function readSpans(file: string): Exported {
  expect(existsSync(file)).toBe(true);
  const lines = readFileSync(file, "utf8").split("\n");
  expect(lines).toHaveLength(2);
  const [resourceSpans = {}] = list(asObject(JSON.parse(lines[0] ?? "")).resourceSpans);
  const [scopeSpans = {}] = list(resourceSpans.scopeSpans);
  return {
    resource: attributes(asObject(resourceSpans.resource).attributes),
    spans: list(scopeSpans.spans).map((span) => ({
      traceId: text(span.traceId) ?? "",
      spanId: text(span.spanId) ?? "",
      parentSpanId: text(span.parentSpanId),
      traceState: text(span.traceState),
      name: text(span.name) ?? "",
      start: BigInt(text(span.startTimeUnixNano) ?? ""),
      end: BigInt(text(span.endTimeUnixNano) ?? ""),
      attributes: attributes(span.attributes),
      error: span.status === undefined ? undefined : text(asObject(span.status).message),
      events: list(span.events).map(({ name }) => text(name) ?? ""),
    })),
  };
}

/** Skips a test, with the reason, where the parser is missing. */
function parserIn(context: TestContext): (file: string) => number {
  if (!existsSync(SCHEMA)) context.skip("python3-opentelemetry-proto is not installed");
  return (file) => {
    const script = join(import.meta.dirname, "../harness/helpers/parse-otlp.py");
    // Debian's Python, which has the package.
    const { status, stdout, stderr } = spawnSync("/usr/bin/python3", [script, file], { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
    const [resourceSpans = {}] = list(asObject(JSON.parse(stdout)).resourceSpans);
    return list(list(resourceSpans.scopeSpans)[0]?.spans).length;
  };
}

function profiled(sandbox: Sandbox, name: string): { file: string; flags: string[] } {
  const file = sandbox.path(`${name}.json`);
  return { file, flags: ["--profile", file, "--profile-format", "otlp"] };
}

async function failing(sandbox: Sandbox): Promise<{ container: Container; file: string; stderr: string }> {
  const { file, flags } = profiled(sandbox, "failed");
  const container = sandbox.container((config) => {
    config.mounts.push({ destination: "/x", type: "tmpfs", source: "tmpfs", options: ["nonsense=1"] });
  });
  const { code, stderr } = await container.create({ flags });
  expect(code).toBe(1);
  return { container, file, stderr };
}

spec(
  "create, start, exec and run --profile-format otlp: the protocol's own schema parses each file, without unknown fields",
  CLAUSE,
  async (sandbox, context) => {
    const parse = parserIn(context);
    const container = sandbox.shell("exec sleep 100", (config) => {
      config.hooks = { poststart: [{ path: "/bin/true" }] };
    });
    const create = profiled(sandbox, "create");
    await container.created({ flags: create.flags });
    const start = profiled(sandbox, "start");
    expect((await sandbox.invoke(["start", ...start.flags, container.id])).stderr).toBe("");
    const exec = profiled(sandbox, "exec");
    expect((await container.exec(["/bin/true"], { flags: exec.flags })).code).toBe(0);
    const run = profiled(sandbox, "run");
    expect((await sandbox.shell("exit 7").run({ flags: run.flags })).code).toBe(7);
    const { file: failed } = await failing(sandbox);
    for (const file of [create.file, start.file, exec.file, run.file, failed])
      expect(parse(file)).toBe(readSpans(file).spans.length);
  },
  PEERS,
);

spec(
  "create --profile-format otlp: a tree of spans within the command's, with the config property and the calls of each operation",
  CLAUSE,
  async (sandbox) => {
    const { file, flags } = profiled(sandbox, "create");
    const container = sandbox.shell("exit 0");
    const before = BigInt(Date.now()) * 1_000_000n;
    await container.created({ flags });
    const after = BigInt(Date.now() + 1) * 1_000_000n;
    const { resource, spans } = readSpans(file);
    expect(resource).toMatchObject({
      "service.name": "runts",
      "container.id": container.id,
      "container.runtime.name": "runts",
    });
    const [root, ...others] = spans;
    expect(root).toMatchObject({ name: "runts create", parentSpanId: undefined, error: undefined });
    expect(root?.attributes).toMatchObject({ "runts.command": "create", "process.exit.code": 0 });
    // Wall-clock time, of the same clock as this process.
    for (const { start, end, name } of spans)
      expect(before <= start && start <= end && end <= after, name).toBe(true);
    const ids = new Map(spans.map((span) => [span.spanId, span]));
    expect(ids.size).toBe(spans.length);
    // Clocks of different kinds measure the runtime and its stubs.
    const DIFFERENCE = 1_000_000n;
    for (const { parentSpanId = "", name, traceId, start, end } of others) {
      const parent = ids.get(parentSpanId);
      expect(parent, name).toBeDefined();
      expect(traceId).toBe(root?.traceId);
      expect((parent?.start ?? 0n) - DIFFERENCE <= start && end <= (parent?.end ?? 0n) + DIFFERENCE).toBe(
        true,
      );
    }
    const parents = (name: string) =>
      others.filter((span) => span.name === name).map((span) => ids.get(span.parentSpanId ?? "")?.name);
    expect(parents("init")).toEqual(["runts create"]);
    expect(parents("root")).toContain("init");
    expect(parents("pivot_root")).toEqual(["root"]);
    expect(parents("mount proc on {path}")).toEqual(["mounts"]);
    const mount = others.find(
      ({ attributes: { "runts.purpose": purpose } }) => purpose === "mount proc on /proc",
    );
    expect(mount?.attributes).toMatchObject({
      "runts.config.pointer": "/mounts/0",
      "runts.process": "init",
      "runts.syscalls": expect.arrayContaining(["fsopen", "fsmount"]),
    });
    expect(mount?.events).toEqual(expect.arrayContaining(["fsopen", "fsmount", "move_mount"]));
  },
  PEERS,
);

spec(
  "create --profile-format otlp that fails: an error of the command and of the operation, with errno and property",
  CLAUSE,
  async (sandbox) => {
    const { file, stderr } = await failing(sandbox);
    const failed = readSpans(file).spans.filter(({ error }) => error !== undefined);
    expect(failed.map(({ name }) => name)).toEqual(["runts create", "mount tmpfs on {path}"]);
    expect(`runts: ${failed[0]?.error}\n`).toBe(stderr);
    for (const { attributes: found } of failed)
      expect(found).toMatchObject({ "error.type": "EINVAL", "runts.config.pointer": "/mounts/7" });
    expect(failed[0]?.attributes["process.exit.code"]).toBe(1);
  },
  PEERS,
);

spec(
  "run --profile-format otlp with TRACEPARENT: continues the caller's trace, and nothing of it enters the container or a hook",
  CLAUSE,
  async (sandbox) => {
    const { file, flags } = profiled(sandbox, "run");
    const seen = sandbox.path("hook-environment");
    const container = sandbox.shell("cat /proc/self/environ /proc/1/environ; env", (config) => {
      config.hooks = {
        createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", `env > ${seen}`] }],
      };
    });
    const wrapper = ["env", TRACEPARENT, "TRACESTATE=rojo=1,congo=2"];
    const { code, stdout } = await container.run({ flags, wrapper });
    expect(code).toBe(0);
    for (const environment of [stdout, readFileSync(seen, "utf8")]) {
      expect(environment).toContain("PWD=");
      expect(environment).not.toMatch(/TRACE|rojo|0af7651916cd43dd/i);
    }
    const { spans } = readSpans(file);
    expect(spans[0]).toMatchObject({ name: "runts run", parentSpanId: CALLER });
    for (const { traceId, traceState } of spans)
      expect([traceId, traceState]).toEqual([TRACE, "rojo=1,congo=2"]);
  },
  PEERS,
);

spec(
  "exec --profile-format otlp with a malformed TRACEPARENT: begins a new trace, and leaves TRACESTATE out",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("exec sleep 100");
    await container.started();
    const traces = new Set<string>();
    for (const value of [`00-${TRACE}-${CALLER}`, `00-${"0".repeat(32)}-${CALLER}-01`, "x"]) {
      const { file, flags } = profiled(sandbox, "exec");
      const wrapper = ["env", `TRACEPARENT=${value}`, "TRACESTATE=rojo=1"];
      const { code, stderr } = await container.exec(["/bin/sh", "-c", "exit 3"], { flags, wrapper });
      expect([code, stderr]).toEqual([3, ""]);
      const [root] = readSpans(file).spans;
      expect(root).toMatchObject({ name: "runts exec", parentSpanId: undefined, traceState: undefined });
      expect(root?.attributes).toMatchObject({ "process.exit.code": 3, "error.type": "3" });
      expect(root?.traceId).not.toBe(TRACE);
      traces.add(root?.traceId ?? "");
    }
    expect(traces.size).toBe(3);
  },
  PEERS,
);
