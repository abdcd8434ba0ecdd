import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { isAlive, isStub, parseStat, processStat } from "./process-status.ts";

const AFTER_COMMAND =
  "S 1 10 10 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 123456 1000 10 18446744073709551615 " +
  "1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 768";

describe("parseStat", () => {
  it.each(["sh", "a b", "a) Z 1 2 (b", ")", "((", "x\ny", ""])(
    "parses the fields after the command %j",
    (command) => {
      expect(parseStat(`10 (${command}) ${AFTER_COMMAND}\n`)).toEqual({
        hasEnded: false,
        isEnding: false,
        threads: 1,
        startTime: "123456",
        hasNotExecuted: false,
        exitStatus: 768,
      });
    },
  );

  it.each([
    ["Z", 1, true],
    ["Z", 0, true],
    ["X", 1, true],
    ["Z", 2, false],
    ["S", 1, false],
  ])("tells whether a process in state %s with %d threads has ended", (state, threads, hasEnded) => {
    const after = AFTER_COMMAND.replace(/^S/, state).replace(" 20 0 1 0 ", ` 20 0 ${threads} 0 `);
    expect(parseStat(`10 (sh) ${after}\n`).hasEnded).toBe(hasEnded);
  });

  it("recognizes a process that is exiting", () => {
    const exiting = AFTER_COMMAND.replace("4194560", String(4194560 + 4));
    expect(parseStat(`10 (sh) ${exiting}\n`).isEnding).toBe(true);
  });

  it("recognizes a process that has executed no program since its fork", () => {
    const forked = AFTER_COMMAND.replace("4194560", String(4194560 + 64));
    expect(parseStat(`10 (runts-init) ${forked}\n`).hasNotExecuted).toBe(true);
  });
});

describe("isAlive", () => {
  const own = processStat(process.pid);

  it("is true for the process that was saved", () => {
    expect(own?.startTime).toMatch(/^\d+$/);
    expect(isAlive(process.pid, own?.startTime ?? "")).toBe(true);
  });

  it("is false for another process with the same pid", () => {
    expect(isAlive(process.pid, "1")).toBe(false);
    expect(isAlive(process.pid, "")).toBe(false);
  });

  it("is false if there is no process", () => {
    const { pid } = spawnSync("true");
    expect(processStat(pid)).toBeUndefined();
    expect(isAlive(pid, own?.startTime ?? "")).toBe(false);
    expect(isAlive(0, "")).toBe(false);
  });
});

it("isStub is false for a process that has executed a program", () => {
  expect(isStub(process.pid)).toBe(false);
});
