import { ID } from "./bundles.ts";
import type { Fault, Result } from "./host.ts";
import { complaint } from "./judge.ts";
import type { Scene } from "./scene.ts";
import type { Command } from "./walk.ts";

/** Starts a container that was created in spite of a fault, and looks whether it is what it should be. */
async function createdWorks(scene: Scene, result: Result, fault: Fault): Promise<string | undefined> {
  const { pid } = await scene.host.init(ID);
  const wrong = await scene.createdWrong();
  // Shortens the wait for a stub that stands still.
  const impatient = fault.mode === "stall" ? { ...fault, at: 0 } : undefined;
  const started = await scene.host.run(["start", ID], impatient);
  // One that dies after all of its set-up, and is reaped before the runtime can look, is no different from one that has run.
  if (started.code === 0) {
    const output = wrong ?? (await scene.outputWrong(pid, { fault, operation: result.operation }));
    const dies = fault.mode === "kill-stub" && result.operation?.side === "stub";
    return output !== undefined && dies ? hasStopped(scene) : output;
  }
  // What init does on its own after create has ended: start hears of it.
  if (result.operation?.side !== "stub" && fault.mode !== "kill-stub") return `start: ${started.stderr}`;
  const found = result.operation && complaint(started, fault, result.operation, 1);
  return found === undefined ? undefined : `start: ${found}: ${started.stderr}`;
}

async function hasStopped(scene: Scene): Promise<string | undefined> {
  const { stdout } = await scene.succeed(["state", ID]);
  return JSON.parse(stdout).status === "stopped" ? undefined : "it has no program, and has not stopped";
}

/** A command without an effect of its own, after which the container goes on. */
async function stillRuns(scene: Scene): Promise<string | undefined> {
  const { stdout } = await scene.succeed(["state", ID]);
  const { status } = JSON.parse(stdout);
  return status === "running" ? undefined : `the container is ${status}`;
}

const once = { failureCode: 1, lasts: false };
const lasting = { failureCode: 1, begin: "asleep", lasts: true } as const;

export const commands: readonly Command[] = [
  {
    ...once,
    name: "create",
    begin: "nothing",
    args: (scene) => scene.createArgs(false),
    works: createdWorks,
  },
  {
    ...once,
    name: "start",
    begin: "created",
    args: () => ["start", ID],
    works: async (scene, { operation }, fault) =>
      fault.mode === "fail"
        ? scene.outputWrong((await scene.host.init(ID)).pid, { fault, operation })
        : undefined,
  },
  {
    ...once,
    name: "run",
    begin: "nothing",
    args: (scene) => scene.createArgs(false, scene.hasTerminal ? ["run", "--detach"] : ["run"]),
    works: async (scene, { stdout, operation }, fault) => {
      if (fault.mode !== "fail") return undefined;
      const met = { fault, operation };
      if (!scene.hasTerminal) return scene.runOutputWrong(stdout, met) ?? scene.left();
      return scene.outputWrong((await scene.host.init(ID)).pid, met);
    },
  },
  {
    ...lasting,
    name: "exec",
    failureCode: 255,
    args: (scene) => scene.execArgs,
    works: (scene, { stdout, operation }, fault) => scene.execOutputWrong(stdout, { fault, operation }),
  },
  {
    ...lasting,
    name: "update",
    mends: true,
    args: (scene) => ["update", "--resources", `/work/bundles/${scene.bundle}/update.json`, ID],
    works: stillRuns,
  },
  { ...lasting, name: "state", args: () => ["state", ID], works: stillRuns },
  { ...lasting, name: "kill", args: () => ["kill", ID, "WINCH"], works: stillRuns },
  {
    ...lasting,
    name: "pause",
    args: () => ["pause", ID],
    works: async (scene) => {
      await scene.succeed(["resume", ID]);
      return stillRuns(scene);
    },
  },
  {
    ...once,
    name: "delete",
    begin: "asleep",
    args: () => ["delete", "--force", ID],
    works: (scene) => scene.left(),
  },
];
