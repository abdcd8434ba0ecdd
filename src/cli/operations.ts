import type { CheckpointOptions, RestoreOptions } from "../container/criu-options.ts";
import type { Emit } from "../container/events.ts";
import type { ExecOptions } from "../container/exec.ts";
import type { MountEntry } from "../container/mount-list.ts";
import type { Context, CreateOptions, RunOptions } from "../container/options.ts";
import type { ContainerState } from "../container/state.ts";
import type { ResourceChange } from "../container/update.ts";

/** What the commands ask of the containers. Each operation loads its code when called: a command pays for its own only. */
export interface Operations {
  create(context: Context, options: CreateOptions): Promise<void>;
  start(context: Context, id: string): Promise<void>;
  /** Gives the exit code of the container's process. */
  run(context: Context, options: RunOptions): Promise<number>;
  kill(context: Context, id: string, signal: string, options: { all: boolean }): Promise<void>;
  delete(context: Context, id: string, options: { force: boolean }): Promise<void>;
  /** Gives the exit code of the process, 0 if it is detached. */
  exec(context: Context, options: ExecOptions, detach: boolean): Promise<number>;
  state(context: Context, id: string): Promise<ContainerState>;
  list(context: Context): Promise<readonly ContainerState[]>;
  pause(context: Context, id: string): Promise<void>;
  resume(context: Context, id: string): Promise<void>;
  update(context: Context, id: string, change: ResourceChange): Promise<void>;
  /** Mounts what a file lists, all or nothing. */
  addMounts(context: Context, id: string, file: string): Promise<void>;
  removeMounts(context: Context, id: string, file: string): Promise<void>;
  listMounts(context: Context, id: string): Promise<readonly MountEntry[]>;
  /** Gives the pids of the container's processes, in the caller's pid namespace. */
  ps(context: Context, id: string): Promise<readonly number[]>;
  /** Returns when the container has stopped; without an interval, after one report of what it has used. */
  events(context: Context, id: string, intervalMs: number | undefined, emit: Emit): Promise<void>;
  checkpoint(context: Context, options: CheckpointOptions): Promise<void>;
  /** Gives the exit code of the container's process, 0 if it is detached. */
  restore(context: Context, options: RestoreOptions): Promise<number>;
}

export const operations: Operations = {
  async create(context, options) {
    const { createContainer } = await import("../container/create.ts");
    await createContainer(context, options);
  },
  async start(context, id) {
    const { startContainer } = await import("../container/start.ts");
    await startContainer(context, id, { notify: "until ready" });
  },
  async run(context, options) {
    const { runContainer } = await import("../container/run.ts");
    return runContainer(context, options);
  },
  async kill(context, id, signal, options) {
    const { killContainer } = await import("../container/kill.ts");
    killContainer(context, id, signal, options);
  },
  async delete(context, id, options) {
    const { deleteContainer } = await import("../container/delete.ts");
    await deleteContainer(context, id, options);
  },
  async exec(context, options, detach) {
    const { runExec } = await import("../container/run-exec.ts");
    return runExec(context, options, detach);
  },
  async state(context, id) {
    const { readContainerState } = await import("../container/state.ts");
    return readContainerState(context, id);
  },
  async list(context) {
    const { listContainers } = await import("../container/state.ts");
    return listContainers(context);
  },
  async pause(context, id) {
    const { pauseContainer } = await import("../container/pause.ts");
    pauseContainer(context, id);
  },
  async resume(context, id) {
    const { resumeContainer } = await import("../container/pause.ts");
    resumeContainer(context, id);
  },
  async update(context, id, change) {
    const { updateContainer } = await import("../container/update.ts");
    await updateContainer(context, id, change);
  },
  async addMounts(context, id, file) {
    const { addMounts } = await import("../container/mounts.ts");
    addMounts(context, id, file);
  },
  async removeMounts(context, id, file) {
    const { removeMounts } = await import("../container/mounts.ts");
    removeMounts(context, id, file);
  },
  async listMounts(context, id) {
    const { listMounts } = await import("../container/mounts.ts");
    return listMounts(context, id);
  },
  async ps(context, id) {
    const { listProcesses } = await import("../container/processes.ts");
    return listProcesses(context, id);
  },
  async events(context, id, intervalMs, emit) {
    const { reportEvents, reportStats } = await import("../container/events.ts");
    if (intervalMs === undefined) reportStats(context, id, emit);
    else reportEvents(context, id, intervalMs, emit);
  },
  async checkpoint(context, options) {
    const { checkpointContainer } = await import("../container/checkpoint.ts");
    await checkpointContainer(context, options);
  },
  async restore(context, options) {
    const { restoreContainer } = await import("../container/restore.ts");
    return restoreContainer(context, options);
  },
};
