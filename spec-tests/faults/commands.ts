import { ID } from "./bundles.ts";
import type { Fault, Result } from "./host.ts";
import { complaint } from "./judge.ts";
import type { Scene } from "./scene.ts";
import type { Command } from "./walk.ts";

/** Starts a container whose create succeeded in spite of a fault, and compares it with one created without. */
async function createdWorks(scene: Scene, result: Result, fault: Fault): Promise<string | undefined> {
  const { pid } = await scene.host.init(ID);
  const wrong = await scene.initDifference();
  // A fault at operation 0 never happens, but shortens the wait for the stalled stub.
  const impatient = fault.mode === "stall" ? { ...fault, at: 0 } : undefined;
  const started = await scene.host.run(["start", ID], impatient);
  // A stub that dies after its set-up, reaped before the runtime looks, can't be told from a program that has ended.
  if (started.code === 0) {
    const output = wrong ?? (await scene.outputDifference(pid, { fault, operation: result.operation }));
    const dies = fault.mode === "kill-stub" && result.operation?.side === "stub";
    return output !== undefined && dies ? hasStopped(scene) : output;
  }
  // Init executes this operation after create has ended, so that only start can report its failure.
  if (result.operation?.side !== "stub" && fault.mode !== "kill-stub") return `start: ${started.stderr}`;
  const found = result.operation && complaint(started, fault, result.operation, 1);
  return found === undefined ? undefined : `start: ${found}: ${started.stderr}`;
}

async function hasStopped(scene: Scene): Promise<string | undefined> {
  const { stdout } = await scene.succeed(["state", ID]);
  const { status } = JSON.parse(stdout);
  return status === "stopped" ? undefined : `init was killed, but the container is ${status}`;
}

/** For a command that must leave the container running. */
async function stillRuns(scene: Scene): Promise<string | undefined> {
  const { stdout } = await scene.succeed(["state", ID]);
  const { status } = JSON.parse(stdout);
  return status === "running" ? undefined : `the container is ${status}`;
}

/** A device of the host that no bundle allows. */
const ADDED = "/tmp/device:/dev/sub/added:rw";

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
        ? scene.outputDifference((await scene.host.init(ID)).pid, { fault, operation })
        : undefined,
  },
  {
    ...once,
    name: "run",
    begin: "nothing",
    args: (scene) => scene.createArgs(false, scene.hasTerminal ? ["run", "--detach"] : ["run"]),
    works: async (scene, { stdout, operation }, fault) => {
      if (fault.mode !== "fail") return undefined;
      const survived = { fault, operation };
      if (!scene.hasTerminal) return scene.runOutputDifference(stdout, survived) ?? scene.left();
      return scene.outputDifference((await scene.host.init(ID)).pid, survived);
    },
  },
  {
    ...lasting,
    name: "exec",
    failureCode: 255,
    args: (scene) => scene.execArgs,
    works: (scene, { stdout, operation }, fault) => scene.execOutputDifference(stdout, { fault, operation }),
  },
  {
    ...lasting,
    name: "update",
    mends: true,
    args: (scene) => ["update", "--resources", `/work/bundles/${scene.bundle}/update.json`, ID],
    works: stillRuns,
  },
  {
    ...lasting,
    name: "devices add",
    args: () => ["devices", "add", ID, ADDED],
    works: async (scene) => {
      await scene.succeed(["devices", "remove", ID, ADDED]);
      return stillRuns(scene);
    },
  },
  {
    ...lasting,
    name: "devices remove",
    mends: /^runts: \S+ is not a device that was added /,
    prepare: () => ["devices", "add", ID, ADDED],
    args: () => ["devices", "remove", ID, ADDED],
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
