import { describe, expect, it } from "vitest";
import type { TimedCall } from "./recording.ts";
import { groupsOf, summaryOf, traceOf } from "./trace.ts";

function timed(by: string, call: string, begin: number, end: number, purpose = ""): TimedCall {
  return {
    by,
    call,
    begin,
    end,
    purpose,
    pointer: purpose === "" ? "" : "/x",
    path: "",
    errno: "",
    isFatal: false,
  };
}

const calls = [
  timed("runtime", "mkdirat", 1, 2),
  timed("init", "fsopen", 5, 6, "mount a"),
  timed("init", "fsmount", 6, 9, "mount a"),
  timed("runtime", "recvfrom", 3, 20),
  timed("init", "umask", 9, 10, "umask"),
  timed("init", "fsopen", 10, 11, "mount a"),
];

describe("groupsOf", () => {
  it("joins consecutive calls of one process with one purpose", () => {
    expect(groupsOf(calls).map(({ purpose, begin, end }) => [purpose, begin, end])).toEqual([
      ["mount a", 5, 9],
      ["umask", 9, 10],
      ["mount a", 10, 11],
    ]);
  });
});

describe("traceOf", () => {
  const { traceEvents, displayTimeUnit } = traceOf({ calls, command: "run", end: 25 });

  it("names the process and its rows, with the runtime first", () => {
    expect(displayTimeUnit).toBe("ms");
    expect(
      traceEvents.filter(({ ph }) => ph === "M").map(({ name, tid, args }) => [name, tid, args.name]),
    ).toEqual([
      ["process_name", 1, "runts run"],
      ["thread_name", 1, "runtime"],
      ["thread_name", 2, "init"],
    ]);
  });

  it("has a slice for the command, for each purpose and for each call", () => {
    const shown = traceEvents
      .filter(({ ph }) => ph === "X")
      .map(({ name, cat, tid, ts, dur }) => [cat, name, tid, ts, dur]);
    expect(shown).toHaveLength(1 + 3 + calls.length);
    expect(shown[0]).toEqual(["command", "run", 1, 0, 25]);
    expect(shown).toContainEqual(["purpose", "mount a", 2, 5, 4]);
    expect(shown).toContainEqual(["call", "fsmount", 2, 6, 3]);
  });
});

describe("summaryOf", () => {
  it("shows the total time, the time of each process, and the longest steps first", () => {
    const lines = summaryOf({ calls, command: "run", end: 25_000 }, "/tmp/t.json", "a viewer")
      .split("\n")
      .map((line) => line.trim());
    expect(lines[0]).toBe("25.000 ms  run, of which in system calls:");
    expect(lines).toContain("0.018 ms  runtime");
    expect(lines.indexOf("0.004 ms  init: mount a  /x")).toBeLessThan(
      lines.indexOf("0.001 ms  init: umask  /x"),
    );
    expect(lines.at(-2)).toBe("All of it is in /tmp/t.json, for a viewer");
  });
});
