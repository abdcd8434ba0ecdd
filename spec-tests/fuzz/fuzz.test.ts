import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { parseObject } from "../harness/json.ts";
import { baseRootfs, copyRootfs } from "../harness/rootfs.ts";
import { IS_RUNTS, RUNTIME } from "../harness/runtime.ts";
import { bases, toText } from "./bases.ts";
import { type Mutant, Mutator } from "./mutate.ts";
import { Random } from "./random.ts";

/** Set by `npm run fuzz -- --count N --seed N [--keep FOLDER]`. Mutants that show a defect are written to the folder. */
const COUNT = Number(process.env.FUZZ_COUNT ?? 600);
const SEED = Number(process.env.FUZZ_SEED ?? 1);
const BATCH = 50;
/** Batches in parallel: as many as the cores that these tests use (vitest.config.ts). */
const LANES = 2;

interface Outcome {
  readonly code: number;
  readonly stderr: string;
  readonly deleted: number | null;
  readonly left: readonly string[];
}

/** Runs a container of each config, in surroundings that are discarded afterwards. */
async function outcomesOf(texts: readonly string[]): Promise<Outcome[]> {
  const work = mkdtempSync(join(tmpdir(), "rspec-fuzz-"));
  const cgroup = join("/sys/fs/cgroup", basename(work));
  try {
    mkdirSync(join(work, "configs"));
    copyRootfs(baseRootfs(), join(work, "rootfs"));
    texts.forEach((text, index) => {
      writeFileSync(join(work, "configs", `${String(index).padStart(5, "0")}.json`), text);
    });
    const worker = join(import.meta.dirname, "worker.py");
    copyFileSync(worker, join(work, "worker.py"));
    const command = [
      cgroup,
      dirname(RUNTIME),
      work,
      "python3",
      "/work/worker.py",
      `/runts/${basename(RUNTIME)}`,
    ];
    return await linesOf(join(import.meta.dirname, "surroundings.sh"), command);
  } finally {
    rmSync(work, { recursive: true, force: true });
    for (const path of [join(cgroup, "worker"), cgroup]) removeCgroup(path);
  }
}

function removeCgroup(path: string): void {
  for (let attempt = 0; attempt < 1000; attempt++) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
  throw new Error(`${path} can't be removed`);
}

async function linesOf(file: string, args: readonly string[]): Promise<Outcome[]> {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const outcomes: Outcome[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const { code, stderr, deleted, left } = parseObject(line);
    outcomes.push({
      code: Number(code),
      stderr: String(stderr),
      deleted: deleted === null ? null : Number(deleted),
      left: Array.isArray(left) ? left.map(String) : [],
    });
  }
  const code = await ended;
  if (code !== 0) throw new Error(`the worker ended with ${code} after ${outcomes.length} configs`);
  return outcomes;
}

/** The first JSON pointer in an error: the property at fault. */
function pointerOf(stderr: string): string | undefined {
  return /^runts: (?:\S*config\.json: ?)?(?:line \d+[^:]*: )?(\/(?:process|root|mounts|linux|hooks|annotations|hostname|domainname|ociVersion)[^:\s]*)/m.exec(
    stderr,
  )?.[1];
}

/** Errors about a text that is not valid JSON, so that they need no pointer. */
const IS_NO_JSON =
  /^runts: config\.json: (?:line \d+, column \d+: not valid JSON|not valid UTF-8|larger than )/m;

/** Judges an outcome. Returns the defect, if any. */
function fault({ code, stderr, deleted, left }: Outcome): string | undefined {
  if (left.length > 0) return `left on the host: ${left.join("; ")}`;
  if (code !== 0 && code !== 1) return `exit code ${code}`;
  if (deleted !== null && deleted !== 0) return `delete --force exits with ${deleted}`;
  // If a seccomp filter refuses what the container's libc needs, libc complains on the same stream.
  const own = stderr.replaceAll(/^Fatal glibc error: .*\n/gm, "");
  if (code === 1 && IS_RUNTS && !/^(?:time="[^\n]*" level=warning [^\n]+\n)*runts: [^\n]+\n$/.test(own))
    return "not a single line that starts with runts:";
  if (code === 1 && IS_RUNTS && pointerOf(stderr) === undefined && !IS_NO_JSON.test(stderr))
    return "no JSON pointer";
  if (/\n\s+at |Error: |panic|undefined|\[object /.test(stderr)) return "an internal error";
  return undefined;
}

function report(outcomes: readonly Outcome[]): string {
  const counts = new Map<string, number>();
  for (const { code, stderr } of outcomes) {
    const place = (pointerOf(stderr) ?? "no pointer")
      .replaceAll(/\/\d+/g, "/*")
      .split("/")
      .slice(0, 4)
      .join("/");
    const kind = code === 0 ? "started" : `${isRefusal(stderr) ? "refused" : "failed in set-up"}: ${place}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const share = (count: number) => `${((100 * count) / outcomes.length).toFixed(1).padStart(5)} %`;
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([kind, count]) => `${share(count)}  ${kind}`)
    .join("\n");
}

/** Errors of validation name config.json and a line in it; those of the set-up name a system call. */
function isRefusal(stderr: string): boolean {
  return /config\.json/.test(stderr);
}

describe.skipIf(!IS_RUNTS)("fuzzing of config.json", () => {
  test("the configs before mutation: more than 90 % start", { timeout: 120_000 }, async () => {
    const outcomes = await outcomesOf(bases().map(toText));
    expect(outcomes.filter(({ code }) => code === 0).length).toBeGreaterThan(0.9 * outcomes.length);
    expect(outcomes.map(fault).filter((found) => found !== undefined)).toEqual([]);
  });

  test(`${COUNT} mutants, seed ${SEED}: each starts or is refused with a one-line error, nothing left`, {
    timeout: 60_000 + COUNT * 1000,
  }, async () => {
    const random = new Random(SEED);
    const mutator = new Mutator(bases());
    const mutants = Array.from({ length: COUNT }, () => mutator.mutant(random));
    const all: Outcome[] = [];
    const faults: string[] = [];
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < mutants.length) {
        const first = next;
        next += BATCH;
        const batch = mutants.slice(first, next);
        const outcomes = await outcomesOf(batch.map(({ text }) => text));
        expect(outcomes).toHaveLength(batch.length);
        for (const [index, outcome] of outcomes.entries()) {
          const found = fault(outcome);
          if (found === undefined) continue;
          faults.push(describeFault(first + index, batch[index], outcome, found));
          process.stdout.write(`${faults.at(-1)}\n`);
        }
        all.push(...outcomes);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    process.stdout.write(`${report(all)}\n`);
    expect(faults).toEqual([]);
  });
});

function describeFault(
  number: number,
  mutant: Mutant | undefined,
  { stderr }: Outcome,
  found: string,
): string {
  const folder = process.env.FUZZ_KEEP;
  if (folder !== undefined) writeFileSync(join(folder, `${number}.json`), mutant?.text ?? "");
  return `mutant ${number} (${mutant?.changes.join(", ")}): ${found.slice(0, 600)}; stderr: ${stderr.slice(0, 400)}`;
}
