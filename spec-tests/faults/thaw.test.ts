import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { which } from "../harness/runtime.ts";
import { FAULTY, startsWarm } from "./host.ts";

/** The launcher is written in C, without the test build's injection: strace(1) makes its system calls fail. */
const STRACE = which("strace");
/** Most of its calls map a part of the image, all in the same way: every n-th is enough. */
const MMAP_STRIDE = 8;

let directory = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "rspec-thaw-"));
});

afterAll(() => rmSync(directory, { recursive: true }));

function check(...options: readonly string[]) {
  const command = [...options, FAULTY, "warm", "--check"];
  const settings = { env: {}, encoding: "utf8", timeout: 60_000 } as const;
  const { status, signal, stdout, stderr } = spawnSync(STRACE ?? "", command, settings);
  return { status: status ?? signal, stdout, stderr };
}

/** The system calls of a warm start after the execve, up to the jump. `count` numbers the calls of the same name, from 1. */
function callsOfThaw(): { call: string; count: number }[] {
  const trace = join(directory, "trace");
  expect(check("-qq", "-o", trace).stdout).toMatch(/^warm: /);
  const names: readonly string[] = readFileSync(trace, "utf8").match(/^\w+(?=\()/gm) ?? [];
  const counts = new Map<string, number>();
  return names.slice(1, names.indexOf("close_range") + 1).map((call) => {
    const count = (counts.get(call) ?? 0) + 1;
    counts.set(call, count);
    return { call, count };
  });
}

test.runIf(STRACE !== undefined && startsWarm())(
  "warm start in which one system call fails: a cold start, or still a warm one",
  { timeout: 600_000 },
  () => {
    const calls = callsOfThaw();
    expect(calls.length).toBeGreaterThan(50);
    const wrong: string[] = [];
    for (const { call, count } of calls) {
      if (call === "mmap" && count % MMAP_STRIDE !== 1) continue;
      const { status, stdout, stderr } = check(
        ...["-qq", "-o", "/dev/null", "-e", `inject=${call}:error=EIO:when=${count}`],
      );
      const isStart = /^(warm: .*\n 0|cold: .*\n 1) $/.test(`${stdout} ${status} ${stderr}`);
      const isRefusal = call === "readlinkat" && /^runts: .*\/proc\/self\/exe[^\n]*\n$/.test(stderr);
      if (!isStart && !isRefusal) wrong.push(`${call} ${count}: ${status} ${stdout} ${stderr}`);
    }
    expect(wrong).toEqual([]);
  },
);
