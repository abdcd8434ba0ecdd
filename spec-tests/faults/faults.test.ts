import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bundle, bundles } from "./bundles.ts";
import { commands } from "./commands.ts";
import { Host, startsWarm } from "./host.ts";
import { ERRORS } from "./judge.ts";
import { Scene } from "./scene.ts";
import { type Findings, type Plan, walk } from "./walk.ts";
import { walkWarm } from "./warm-walk.ts";

/**
 * `npm run test:faults` sets FAULTS=all: every fault at every operation. In `npm test`, every operation fails once, and some get the
 * other faults. The comma-separated lists FAULTS_BUNDLES, FAULTS_COMMANDS and FAULTS_MODES restrict the run.
 */
const ALL = process.env.FAULTS === "all";
/** Walks in parallel: as many as the cores that these tests use. */
const LANES = 2;
/** Every n-th operation gets the fault. A stall is the rarest, since the runtime waits for the stalled stub. */
const STRIDES = { "kill-stub": 16, "kill-runtime": 16, stall: 64 } as const;
const EIO = 5;
/** Writing an image takes some seconds on a busy machine. */
const START_TIMEOUT_MS = 60_000;

const plan: Plan = chosen((n) => {
  const others = (["kill-stub", "kill-runtime", "stall"] as const).map((mode) => ({ mode, errno: EIO }));
  if (ALL) return [...ERRORS.map(({ errno }) => ({ mode: "fail" as const, errno })), ...others];
  const failing = { mode: "fail" as const, errno: EIO };
  return [failing, ...others.filter(({ mode }, index) => n % STRIDES[mode] === 5 * index)];
});

function chosen(full: Plan): Plan {
  const modes = process.env.FAULTS_MODES?.split(",");
  return (n) =>
    full(n).filter(({ mode, errno }) => modes?.includes(mode === "fail" ? `${errno}` : mode) ?? true);
}

function isChosen(list: string | undefined, name: string): boolean {
  return list?.split(",").includes(name) ?? true;
}

/** Hosts that no walk uses. */
const free: Host[] = [];
const waiting: ((host: Host) => void)[] = [];
const totals = { injected: 0, faults: 0, cases: 0 };

async function withHost<T>(action: (host: Host) => Promise<T>): Promise<T> {
  const host = free.pop() ?? (await new Promise<Host>((resolve) => waiting.push(resolve)));
  try {
    return await action(host);
  } catch (error) {
    // Printed at once, since the other walks take minutes.
    process.stdout.write(`${error instanceof Error ? error.message.slice(0, 2000) : error}\n`);
    throw error;
  } finally {
    const next = waiting.shift();
    if (next === undefined) free.push(host);
    else next(host);
  }
}

beforeAll(async () => {
  for (let lane = 0; lane < LANES; lane++) free.push(await Host.start());
}, START_TIMEOUT_MS);

afterAll(async () => {
  await Promise.all(free.map((host) => host.close()));
  const { injected, cases, faults } = totals;
  process.stdout.write(
    `${injected - faults} of ${injected} operations injected, ${cases} faults in all, leaks ${faults}\n`,
  );
}, 120_000);

describe.concurrent("a fault at each operation in turn", () => {
  for (const { name: bundle } of bundles(0) satisfies readonly Bundle[]) {
    if (!isChosen(process.env.FAULTS_BUNDLES, bundle)) continue;
    for (const command of commands) {
      if (!isChosen(process.env.FAULTS_COMMANDS, command.name)) continue;
      // Run does the operations of create, start and delete, which have walks of their own.
      if (!ALL && command.name === "run" && bundle !== "minimal") continue;
      // They would take `npm test` beyond its time: `npm run test:faults` walks them in each bundle.
      if (!ALL && command.name.startsWith("devices ") && bundle !== "minimal") continue;
      const title = `${command.name}, ${bundle} bundle: a one-line error or a working container, nothing left`;
      test(title, { timeout: ALL ? 12 * 3_600_000 : 3_600_000 }, () =>
        withHost(async (host) => {
          const scene = new Scene(host, bundle);
          await scene.learn();
          const findings = await walk(scene, command, plan);
          report(bundle, command.name, findings);
          expect(findings.faults).toEqual([]);
        }),
      );
    }
  }

  test.runIf(isChosen(process.env.FAULTS_COMMANDS, "warm") && startsWarm())(
    "warm: a one-line error or an image, which is never partial",
    { timeout: ALL ? 12 * 3_600_000 : 3_600_000 },
    () =>
      withHost(async (host) => {
        const findings = await walkWarm(host, plan);
        report("installation", "warm", findings);
        expect(findings.faults).toEqual([]);
      }),
  );
});

function report(bundle: string, command: string, findings: Findings): void {
  const { injected, cases, survived, notCarriedOut, faults } = findings;
  totals.injected += injected;
  totals.cases += cases;
  totals.faults += faults.length;
  const skipped = notCarriedOut > 0 ? `, ${notCarriedOut} not carried out in this container` : "";
  process.stdout.write(
    `${bundle}: ${command}: ${injected} operations, ${cases} faults, ${survived} survived${skipped}, ${faults.length} defects\n`,
  );
}
