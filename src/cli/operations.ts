import { checkpointContainer } from "../container/checkpoint.ts";
import type { CreateOptions, GlobalOptions, RunOptions } from "../container/context.ts";
import { createContainer } from "../container/create.ts";
import type { CheckpointOptions, RestoreOptions } from "../container/criu/options.ts";
import { deleteContainer } from "../container/delete.ts";
import { type Emit, reportEvents, reportStats } from "../container/events.ts";
import { type ExecOptions, runExec } from "../container/exec.ts";
import { killContainer } from "../container/kill.ts";
import { addMounts, listMounts, type MountEntry, removeMounts } from "../container/mounts.ts";
import { pauseContainer, resumeContainer } from "../container/pause.ts";
import { listProcesses } from "../container/ps.ts";
import { type ContainerState, listContainers, readContainerState } from "../container/record/status.ts";
import { restoreContainer } from "../container/restore.ts";
import { runContainer } from "../container/run.ts";
import { startContainer } from "../container/start.ts";
import { type ResourceChange, updateContainer } from "../container/update.ts";

/** What the commands ask of the containers. */
export interface Operations {
  create(context: GlobalOptions, options: CreateOptions): void;
  start(context: GlobalOptions, id: string): Promise<void>;
  /** Gives the exit code of the container's process. */
  run(context: GlobalOptions, options: RunOptions): Promise<number>;
  kill(context: GlobalOptions, id: string, signal: string, options: { all: boolean }): void;
  delete(context: GlobalOptions, id: string, options: { force: boolean }): void;
  /** Gives the exit code of the process, 0 if it is detached. */
  exec(context: GlobalOptions, options: ExecOptions, detach: boolean): number;
  state(context: GlobalOptions, id: string): ContainerState;
  list(context: GlobalOptions): readonly ContainerState[];
  pause(context: GlobalOptions, id: string): void;
  resume(context: GlobalOptions, id: string): void;
  update(context: GlobalOptions, id: string, change: ResourceChange): void;
  /** Mounts what a file lists, all or nothing. */
  addMounts(context: GlobalOptions, id: string, file: string): void;
  removeMounts(context: GlobalOptions, id: string, file: string): void;
  listMounts(context: GlobalOptions, id: string): readonly MountEntry[];
  /** Gives the pids of the container's processes, in the caller's pid namespace. */
  ps(context: GlobalOptions, id: string): readonly number[];
  /** Returns when the container has stopped; without an interval, after one report of what it has used. */
  events(context: GlobalOptions, id: string, intervalMs: number | undefined, emit: Emit): void;
  checkpoint(context: GlobalOptions, options: CheckpointOptions): void;
  /** Gives the exit code of the container's process, 0 if it is detached. */
  restore(context: GlobalOptions, options: RestoreOptions): number;
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
