import { checkpointContainer } from "../container/checkpoint.ts";
import type { Context, CreateOptions, RunOptions } from "../container/context.ts";
import { createContainer } from "../container/create.ts";
import type { CheckpointOptions, RestoreOptions } from "../container/criu/options.ts";
import { deleteContainer } from "../container/delete.ts";
import { type Emit, reportEvents, reportStats } from "../container/events.ts";
import type { ExecOptions } from "../container/exec.ts";
import { killContainer } from "../container/kill.ts";
import type { MountEntry } from "../container/mount-list.ts";
import { addMounts, listMounts, removeMounts } from "../container/mounts.ts";
import { pauseContainer, resumeContainer } from "../container/pause.ts";
import { listProcesses } from "../container/ps.ts";
import { type ContainerState, listContainers, readContainerState } from "../container/record/status.ts";
import { restoreContainer } from "../container/restore.ts";
import { runContainer } from "../container/run.ts";
import { runExec } from "../container/run-exec.ts";
import { startContainer } from "../container/start.ts";
import { type ResourceChange, updateContainer } from "../container/update.ts";

/** What the commands ask of the containers. */
export interface Operations {
  create(context: Context, options: CreateOptions): void;
  start(context: Context, id: string): Promise<void>;
  /** Gives the exit code of the container's process. */
  run(context: Context, options: RunOptions): Promise<number>;
  kill(context: Context, id: string, signal: string, options: { all: boolean }): void;
  delete(context: Context, id: string, options: { force: boolean }): void;
  /** Gives the exit code of the process, 0 if it is detached. */
  exec(context: Context, options: ExecOptions, detach: boolean): number;
  state(context: Context, id: string): ContainerState;
  list(context: Context): readonly ContainerState[];
  pause(context: Context, id: string): void;
  resume(context: Context, id: string): void;
  update(context: Context, id: string, change: ResourceChange): void;
  /** Mounts what a file lists, all or nothing. */
  addMounts(context: Context, id: string, file: string): void;
  removeMounts(context: Context, id: string, file: string): void;
  listMounts(context: Context, id: string): readonly MountEntry[];
  /** Gives the pids of the container's processes, in the caller's pid namespace. */
  ps(context: Context, id: string): readonly number[];
  /** Returns when the container has stopped; without an interval, after one report of what it has used. */
  events(context: Context, id: string, intervalMs: number | undefined, emit: Emit): void;
  checkpoint(context: Context, options: CheckpointOptions): void;
  /** Gives the exit code of the container's process, 0 if it is detached. */
  restore(context: Context, options: RestoreOptions): number;
}

export const operations: Operations = {
  create: createContainer,
  async start(context, id) {
    await startContainer(context, id, { notify: "until ready" });
  },
  run: runContainer,
  kill: killContainer,
  delete: deleteContainer,
  exec: runExec,
  state: readContainerState,
  list: listContainers,
  pause: pauseContainer,
  resume: resumeContainer,
  update: updateContainer,
  addMounts,
  removeMounts,
  listMounts,
  ps: listProcesses,
  events(context, id, intervalMs, emit) {
    if (intervalMs === undefined) reportStats(context, id, emit);
    else reportEvents(context, id, intervalMs, emit);
  },
  checkpoint: checkpointContainer,
  restore: restoreContainer,
};
