import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { decodeStatus, reapChild } from "./exit-status.ts";

describe("decodeStatus", () => {
  it.each([
    [0, 0, undefined],
    [0x0300, 3, undefined],
    [0xff00, 255, undefined],
    [9, 137, "SIGKILL"],
    // With a core dump.
    [0x80 | 11, 139, "SIGSEGV"],
    [34, 162, "SIGRTMIN"],
  ])("0x%x", (word, exitCode, signal) => {
    expect(decodeStatus(word)).toEqual({ exitCode, signal });
  });
});

describe("reapChild", () => {
  it("returns undefined for a process that is not a child", () => {
    expect(reapChild(1)).toBeUndefined();
  });

  it("does not reap other children if the pid is 0", async () => {
    const child = spawn("true");
    expect(reapChild(0)).toBeUndefined();
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});
