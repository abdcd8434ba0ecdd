import { describe, expect, it } from "vitest";
import { otlpText, requestOf } from "./otlp.ts";
import type { Outcome, Recording, TimedCall } from "./recording.ts";
import type { TraceContext } from "./trace-context.ts";

const START = 1_764_582_000_123_456_789n;

function timed(by: string, call: string, begin: number, end: number, rest: Partial<TimedCall>): TimedCall {
  return { by, call, begin, end, purpose: "", pointer: "", path: "", errno: "", isFatal: false, ...rest };
}

const calls = [
  timed("runtime", "mkdirat", 1, 2, { purpose: "make the cgroup /box", pointer: "/linux/cgroupsPath" }),
  timed("runtime", "close", 2, 3, {}),
  timed("init", "fsopen", 5, 6, { purpose: "mount proc on /proc", pointer: "/mounts/0" }),
  timed("init", "fsmount", 6.5, 9.0004, {
    purpose: "mount proc on /proc",
    pointer: "/mounts/0",
    path: "/proc",
  }),
  timed("init", "fsopen", 10, 11, {
    purpose: "mount tmpfs on /x",
    pointer: "/mounts/1",
    path: "password=x",
    errno: "EINVAL",
    isFatal: true,
  }),
  timed("init", "setsid", 12, 13, { purpose: "begin a session" }),
];

function recorded(outcome: Outcome = { exitCode: 0 }): Recording {
  return { command: "run", container: "box", start: START, end: 25, calls, outcome };
}

const CALLER: TraceContext = { traceId: "a".repeat(32), spanId: "b".repeat(16), flags: 0, state: "k=v" };

function surroundings(caller?: TraceContext) {
  let last = -1n;
  return { hostName: "host", pid: 42, executable: "runts", caller, random: () => ++last };
}

function spansOf(outcome?: Outcome, caller?: TraceContext) {
  const [resource] = requestOf(recorded(outcome), surroundings(caller)).resourceSpans;
  return resource?.scopeSpans[0]?.spans ?? [];
}

function attributesOf({ attributes }: ReturnType<typeof spansOf>[number]) {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      if ("stringValue" in value) return [key, value.stringValue];
      if ("intValue" in value) return [key, Number(value.intValue)];
      return [key, value.arrayValue.values.flatMap((one) => ("stringValue" in one ? [one.stringValue] : []))];
    }),
  );
}

const FAILED: Outcome = {
  exitCode: 1,
  error: {
    name: "RuntsError",
    message: "/mounts/1: no",
    operation: "fsopen",
    errno: "EINVAL",
    pointer: "/mounts/1",
  },
};

describe("requestOf", () => {
  it("makes a tree: the command, its processes, sections of more than one operation, operations", () => {
    const spans = spansOf();
    const nameOf = (id: string | undefined) => spans.find(({ spanId }) => spanId === id)?.name;
    expect(spans.map(({ name, parentSpanId }) => [name, nameOf(parentSpanId)])).toEqual([
      ["runts run", undefined],
      ["make the cgroup {path}", "runts run"],
      ["init", "runts run"],
      ["mounts", "init"],
      ["mount proc on {path}", "mounts"],
      ["mount tmpfs on {path}", "mounts"],
      ["begin a session", "init"],
    ]);
  });

  it("has one trace id, and unique span ids, none of them all zeros", () => {
    const spans = spansOf();
    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(
      new Set(["00000000000000010000000000000002"]),
    );
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
    for (const { spanId } of spans) expect(spanId).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
    expect(spans[0]).not.toHaveProperty("parentSpanId");
    expect(spans[0]?.flags).toBe(0x101);
  });

  it("has times in nanoseconds since 1970, with no digit lost", () => {
    const [root, , init, , mount] = spansOf();
    expect(root).toMatchObject({
      startTimeUnixNano: "1764582000123456789",
      endTimeUnixNano: "1764582000123481789",
    });
    expect([init?.startTimeUnixNano, init?.endTimeUnixNano]).toEqual([
      "1764582000123461789",
      "1764582000123469789",
    ]);
    expect(mount?.endTimeUnixNano).toBe("1764582000123465789");
  });

  it("continues the caller's trace: its trace id, flags and state; the first span is its child", () => {
    const spans = spansOf(undefined, CALLER);
    expect(spans[0]).toMatchObject({ parentSpanId: CALLER.spanId, flags: 0x300, traceState: "k=v" });
    for (const { traceId, traceState } of spans)
      expect([traceId, traceState]).toEqual([CALLER.traceId, "k=v"]);
    expect(spans[1]).toMatchObject({ parentSpanId: spans[0]?.spanId, flags: 0x100 });
  });

  it("has the attributes of the command by the conventions for CLI programs", () => {
    const [root] = spansOf();
    expect(root && attributesOf(root)).toEqual({
      "process.executable.name": "runts",
      "process.pid": 42,
      "process.exit.code": 0,
      "runts.command": "run",
    });
    expect(root).not.toHaveProperty("status");
  });

  it("has the purpose, pointer and system calls of an operation, with each call as an event", () => {
    const mount = spansOf()[4];
    expect(mount && attributesOf(mount)).toEqual({
      "runts.process": "init",
      "runts.purpose": "mount proc on /proc",
      "runts.config.pointer": "/mounts/0",
      "runts.syscalls": ["fsopen", "fsmount"],
    });
    expect(mount?.events?.map(({ name, timeUnixNano }) => [name, timeUnixNano])).toEqual([
      ["fsopen", "1764582000123461789"],
      ["fsmount", "1764582000123463289"],
    ]);
    expect(mount?.events?.[1]?.attributes).toEqual([
      { key: "runts.duration_ns", value: { intValue: "2500" } },
      { key: "file.path", value: { stringValue: "/proc" } },
    ]);
  });

  it("says which command and which operation failed", () => {
    const failed = spansOf(FAILED).filter(({ status }) => status !== undefined);
    expect(failed.map(({ name, status }) => [name, status])).toEqual([
      ["runts run", { code: 2, message: "/mounts/1: no" }],
      ["mount tmpfs on {path}", { code: 2, message: "fsopen: EINVAL" }],
    ]);
    expect(failed.map((span) => attributesOf(span)["error.type"])).toEqual(["EINVAL", "EINVAL"]);
    expect(failed[0] && attributesOf(failed[0])["runts.config.pointer"]).toBe("/mounts/1");
  });

  it("has no argument of a call that is not a path", () => {
    expect(JSON.stringify(spansOf(FAILED))).not.toContain("password");
  });

  it("calls an exit code of the container's process an error of the command alone", () => {
    const failed = spansOf({ exitCode: 7 }).filter(({ status }) => status !== undefined);
    expect(failed.map(({ status }) => status)).toEqual([
      { code: 2, message: "the process ended with exit code 7" },
    ]);
    expect(failed[0] && attributesOf(failed[0])).toMatchObject({ "process.exit.code": 7, "error.type": "7" });
  });
});

describe("otlpText", () => {
  it("is one line of JSON, with half a surrogate pair replaced", () => {
    const text = otlpText({ ...recorded(), container: "\ud800\n" }, surroundings());
    expect(text.split("\n")).toHaveLength(2);
    expect(text).toContain('"\ufffd\\n"');
  });
});
