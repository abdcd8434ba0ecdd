import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { readTrace, straceWrapper } from "../harness/explain/strace.ts";
import { COLD, HAS_WARM_START, Installation, WARM } from "../harness/helpers/installation.ts";
import { PATH } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const CLAUSE = "promise: warm start";

/** How often one image is resumed, and how many times at once. */
const TIMES = 20;
const AT_ONCE = 4;

/** Random names of keyrings, and of files that are not complete yet. */
const RANDOM_NAME = /_ses\.[^"]+\.\d+|\bnew-[0-9a-z]{5,}/g;

/** Calls that have names as arguments. Other calls have data, which may have numbers of configs in it. */
const NAMING = /^(bind|connect|keyctl|link|memfd_create|mkdir|open|rename|symlink|unlink)/;

/** A process of the runtime, as /proc shows it. */
interface Shown {
  readonly environment: readonly string[];
  readonly words: readonly string[];
  readonly status: readonly string[];
  readonly files: readonly string[];
  readonly mappings: readonly string[];
}

/** Lines of /proc/PID/status that differ between two processes of one program; the engine's own name is its file's. */
const VARYING = /^(Name|Vm\w+|Rss\w+|N?S?\w*[Pp]?id|NStgid|NSpid|SigQ|\w*ctxt\w*|TracerPid):/;

function shownBy(pid: number): Shown {
  const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8");
  const files = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    const flags = /^flags:\s*(\d+)/m.exec(read(`fdinfo/${fd}`))?.[1];
    return `${readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\d+/g, "N")} ${flags}`;
  });
  return {
    environment: read("environ").split("\0").filter(Boolean).sort(),
    words: read("cmdline").split("\0").slice(0, -1),
    status: read("status")
      .split("\n")
      .filter((line) => !VARYING.test(line)),
    files: files.sort(),
    mappings: read("maps").trim().split("\n"),
  };
}

/** Waits until the runtime only waits for signals. */
async function settled(pid: number): Promise<Shown> {
  let last: Shown | undefined;
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(50)) {
    const now = whileChanging(pid);
    const isWaiting =
      now?.files.some((file) => file.includes("[signalfd]")) && / \(sleeping\)/.test(now.status.join());
    if (now !== undefined && isWaiting && isDeepStrictEqual(last, now)) return now;
    last = now;
  }
  throw new Error(`the runtime does not come to rest: ${JSON.stringify(last)}`);
}

/** Undefined where a descriptor was closed meanwhile. */
function whileChanging(pid: number): Shown | undefined {
  try {
    return shownBy(pid);
  } catch {
    return undefined;
  }
}

describe.runIf(HAS_WARM_START)("the own state of a warm start", () => {
  let installation: Installation;
  beforeAll(() => {
    installation = new Installation();
    installation.warm();
  });
  afterAll(() => installation.remove());

  /** Looks at the runtime while its container runs: the container waits for the end of its standard input. */
  async function lookAtRun(sandbox: Sandbox, start: Readonly<Record<string, string>>): Promise<Shown> {
    const container = sandbox.shell("echo ready; cat");
    const words = ["--root", sandbox.root, "run", "--bundle", container.bundle, container.id];
    const env = { PATH, SPEC_TEST_TAG: sandbox.tag, OF_CALLER: "1", ...start };
    const child = spawn(installation.runtime, words, { env, stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    const shown = await settled(child.pid ?? 0);
    child.stdin.end();
    expect(await ended).toEqual([0, null]);
    return { ...shown, words: shown.words.map((word) => word.replaceAll(container.id, "ID")) };
  }

  spec(
    "run, in the foreground: /proc shows the same of the runtime after a warm and a cold start",
    CLAUSE,
    async (sandbox) => {
      const [warm, cold] = [await lookAtRun(sandbox, WARM), await lookAtRun(sandbox, COLD)];
      expect(warm.words).toEqual(cold.words);
      expect(warm.status).toEqual(cold.status);
      expect(warm.files).toEqual(cold.files);
      // Variables that the launcher does not pass on, such as OF_CALLER, are gone, as after an execve(2).
      expect(warm.environment).toEqual([`PATH=${PATH}`, "RUNTS_COLD="]);
      for (const { mappings } of [warm, cold])
        expect(mappings.filter((line) => /^\S+ .wx/.test(line) || /\(deleted\)/.test(line))).toEqual([]);
    },
  );

  spec(
    "explain --diff, which collects garbage: no memory of the image is given back, as its old contents would reappear",
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "strace");
      const calls = sandbox.path("calls");
      const { bundle } = sandbox.shell("true");
      const explain = [installation.runtime, "explain", "--diff", bundle, bundle];
      const args = ["-f", "-e", "trace=madvise", "-o", calls, ...explain];
      const { status } = spawnSync("strace", args, { env: { PATH, ...WARM }, stdio: "ignore" });
      expect(status).toBe(0);
      expect(readFileSync(calls, "utf8").match(/^.*MADV_(DONTNEED|FREE).*$/gm) ?? []).toEqual([]);
    },
    { both: "has no such command" },
  );

  async function trace(container: Container, prefix: string): Promise<void> {
    const { code, stderr } = await container.run({
      runtime: installation.runtime,
      env: WARM,
      wrapper: straceWrapper(prefix).filter((word) => word !== "-D"),
    });
    expect([code, stderr]).toEqual([0, ""]);
  }

  spec(
    `run, ${TIMES} times from one image, some at once: no random name or number occurs twice`,
    CLAUSE,
    async (sandbox, context) => {
      skipWithout(context, "strace");
      const names = Array.from({ length: TIMES }, (_, index) => `trace-${index}`);
      const containers = names.map((_, index) =>
        sandbox.shell("true", ({ linux }) => {
          // A profile of its own, which is compiled and kept.
          linux.seccomp = {
            defaultAction: "SCMP_ACT_ALLOW",
            syscalls: [{ names: ["chmod"], action: "SCMP_ACT_ERRNO", errnoRet: index + 1 }],
          };
        }),
      );
      const left = [...names.entries()];
      const worker = async () => {
        for (let next = left.pop(); next !== undefined; next = left.pop()) {
          const container = containers[next[0]];
          if (container !== undefined) await trace(container, sandbox.path(next[1]));
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      const seen = new Map<string, string[]>();
      for (const name of names) {
        const calls = [...readTrace(sandbox.path(name)).values()].flat();
        const numbers = calls.filter(({ call }) => call === "getrandom").map(({ args }) => args[0] ?? "");
        // For the keyring, and for the file that becomes the kept filter.
        expect(numbers.length, name).toBeGreaterThanOrEqual(2);
        const text = calls.flatMap(({ call, args }) => (NAMING.test(call) ? args : [])).join("\n");
        const made = text.match(RANDOM_NAME) ?? [];
        expect(new Set(made).size, name).toBeGreaterThanOrEqual(2);
        for (const random of new Set([...numbers, ...made]))
          seen.set(random, [...(seen.get(random) ?? []), name]);
      }
      expect([...seen].filter(([, runs]) => runs.length > 1)).toEqual([]);
    },
  );
});
