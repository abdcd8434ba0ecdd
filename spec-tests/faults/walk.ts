import { ID } from "./bundles.ts";
import type { Fault, Result } from "./host.ts";
import { complaint } from "./judge.ts";
import type { Scene } from "./scene.ts";

/** A command whose operations are made to fail, one after the other. */
export interface Command {
  readonly name: string;
  readonly failureCode: number;
  /** The container that the command needs. */
  readonly begin: "nothing" | "created" | "asleep";
  /** Whether the container is used for the next fault as well, as long as it is unchanged. */
  readonly lasts: boolean;
  /** A command that is run first, and makes what this one takes away. */
  prepare?(scene: Scene): readonly string[];
  /** Whether the same command without a fault completes what a failed one did in part; or what it says if there is nothing left to do. */
  readonly mends?: boolean | RegExp;
  args(scene: Scene): readonly string[];
  /** Checks the result of a command that succeeded in spite of the fault. Returns the defect, if any. */
  works(scene: Scene, result: Result, fault: Fault): Promise<string | undefined>;
}

export interface Findings {
  /** Operations that were hit. */
  injected: number;
  /** Injected faults: several for each operation. */
  cases: number;
  /** Faults that the command survived. */
  survived: number;
  /** Operations that the stub skipped in this container, since an earlier result did not ask for them. */
  notCarriedOut: number;
  readonly faults: string[];
}

/** The faults of the n-th operation, from 1. */
export type Plan = (n: number) => readonly Pick<Fault, "mode" | "errno">[];

const MOST_OPERATIONS = 3000;

/** Makes each operation of a command fail in turn, until there are no more. */
export async function walk(scene: Scene, command: Command, plan: Plan): Promise<Findings> {
  const findings: Findings = { injected: 0, cases: 0, survived: 0, notCarriedOut: 0, faults: [] };
  for (let at = 1; at < MOST_OPERATIONS; at++) {
    const planned = plan(at);
    if (planned.length === 0) continue;
    let hit = false;
    for (const { mode, errno } of planned) {
      const outcome = await step(scene, command, { at, mode, errno }).catch((error) =>
        broken(scene, at, mode, error),
      );
      if (outcome === undefined) continue;
      hit = true;
      findings.cases += 1;
      findings.survived += outcome.survived ? 1 : 0;
      findings.notCarriedOut += outcome.survived && outcome.guarded && mode === "kill-stub" ? 1 : 0;
      if (outcome.fault === undefined) continue;
      const text = `${scene.bundle}: ${command.name}: ${outcome.fault}`.replaceAll(/[^\x20-\x7e]/g, " ");
      findings.faults.push(text);
      // Printed at once, since a walk may take minutes.
      process.stdout.write(`${text.slice(0, 600)}\n`);
    }
    if (!hit) break;
    findings.injected += 1;
  }
  if (scene.isAsleep) findings.faults.push(...(await scene.remove()));
  return findings;
}

interface Outcome {
  readonly survived: boolean;
  /** Whether the operation is executed only if an earlier result asks for it. */
  readonly guarded: boolean;
  readonly fault: string | undefined;
}

/** The outcome if anything but the command with the fault failed. */
async function broken(scene: Scene, at: number, mode: string, error: unknown): Promise<Outcome> {
  const left = await scene.remove();
  const reason = error instanceof Error ? error.message : String(error);
  return { survived: false, guarded: false, fault: [`${at} ${mode}: ${reason}`, ...left].join("; ") };
}

/** undefined if the command has no operation of that number. */
async function step(scene: Scene, command: Command, fault: Fault): Promise<Outcome | undefined> {
  const victim = await begin(scene, command, fault);
  const result = await scene.host.run(command.args(scene), {
    ...fault,
    ...(victim !== undefined && { victim }),
  });
  const { operation, code } = result;
  const faults: string[] = [];
  const survived = code === 0;
  if (operation !== undefined) {
    const found = await verdict(scene, command, fault, result);
    if (found !== undefined) faults.push(found);
  }
  faults.push(...(await settle(scene, command, fault, result)));
  if (operation === undefined) return undefined;
  const { call, path, purpose, pointer, guarded } = operation;
  const what = `${fault.at} ${fault.mode} ${fault.errno} (${[call, path, pointer, purpose].filter(Boolean).join(" ")})`;
  const text =
    faults.length === 0 ? undefined : `${what}: ${faults.join("; ")}; stderr: ${result.stderr.trim()}`;
  return { survived, guarded, fault: text };
}

/** Brings the container to the state that the command needs. Returns the process to kill if the container's init is to die. */
async function begin(scene: Scene, command: Command, fault: Fault): Promise<number | undefined> {
  if (command.begin === "created") await scene.create();
  if (command.begin === "asleep" && !scene.isAsleep) {
    await scene.startSleeping();
    // The command completes what a failed one did in part: its result is the state to compare with.
    if (command.mends === true) {
      await scene.succeed(command.args(scene));
      await scene.noteSleeping();
    }
  }
  if (command.prepare !== undefined) await scene.succeed(command.prepare(scene));
  const isVictim = fault.mode === "kill-stub" && command.begin !== "nothing" && !command.lasts;
  return isVictim ? (await scene.host.init(ID)).pid : undefined;
}

async function verdict(
  scene: Scene,
  command: Command,
  fault: Fault,
  result: Result,
): Promise<string | undefined> {
  const { operation, code } = result;
  if (operation === undefined) return undefined;
  if (code === 0) return command.works(scene, result, fault);
  if (fault.mode === "kill-runtime" && code === 137) return undefined;
  return complaint(result, fault, operation, command.failureCode);
}

async function mend(scene: Scene, { mends, args }: Command): Promise<void> {
  if (mends === true) await scene.succeed(args(scene));
  if (!(mends instanceof RegExp)) return;
  const { code, stderr } = await scene.host.run(args(scene));
  if (code !== 0 && !mends.test(stderr)) throw new Error(`once again: exit code ${code}, ${stderr}`);
}

/** Brings the host back to the state before the command, as an engine would. Returns what is left or changed. */
async function settle(scene: Scene, command: Command, fault: Fault, result: Result): Promise<string[]> {
  const failed = result.code !== 0;
  const mayLoseHooks = fault.mode === "kill-runtime" && command.name === "delete";
  // Delete is not needed after a failed command that has left nothing.
  if (!command.lasts) return failed && (await scene.isEmpty()) ? [] : scene.remove(mayLoseHooks);
  if (failed && command.mends !== undefined) await mend(scene, command);
  if (fault.mode !== "kill-runtime") {
    const changes = await scene.changesAsleep();
    if (changes.length === 0) return [];
    // A leftover that the command warns of is not a defect.
    const isWarnedOf = (change: string) =>
      change.startsWith("BPF programs") && /an earlier device program stays/.test(result.stderr);
    return [...changes.filter((change) => !isWarnedOf(change)), ...(await scene.remove())];
  }
  // A killed runtime may leave its work half done. That is not a leak if the container can be removed with it.
  const changes = await scene.changesAsleep();
  return changes.length === 0 ? [] : scene.remove();
}
