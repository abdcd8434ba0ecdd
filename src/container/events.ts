import { closeSync, existsSync } from "../../bindings/linux/files.ts";
import { takeModifications, watchModifications } from "../../bindings/linux/inotify.ts";
import { waitNotified } from "../../bindings/linux/poll.ts";
import { tryReadCgroupFile } from "../cgroup/files.ts";
import { noStats, readStats, type Stats } from "../cgroup/stats.ts";
import { RuntsError } from "../errors.ts";
import type { GlobalOptions } from "./context.ts";
import type { PressureEvent, PressureWatch } from "./pressure.ts";
import { isAlive } from "./process/process-status.ts";
import { openProcess } from "./process/saved-process.ts";
import { readSavedState } from "./record/saved-state.ts";
import { statusOf } from "./record/status.ts";

/** One line of `events`, in runc's form. */
export type ContainerEvent =
  | { readonly type: "stats"; readonly id: string; readonly data: Stats }
  | { readonly type: "oom"; readonly id: string };

export type Emit = (event: ContainerEvent) => void;

/** Watches a running container by descriptors, so that no other container can take its place. */
export interface Observation {
  readonly cgroup: string;
  /** Becomes readable when init has ended. */
  readonly pidfd: number;
  /** Whether init has ended, even if its pidfd can't be read yet: see isAlive. */
  hasEnded(): boolean;
  /** Becomes readable when there may have been an OOM kill; undefined without the memory controller. */
  readonly oomDescriptor: number | undefined;
  /** The OOM kill since the last call, if there was one. */
  oom(): ContainerEvent | undefined;
  /** The usage of the container so far. */
  stats(): ContainerEvent;
  close(): void;
}

/** Reports the usage of the container so far. Without a cgroup that is unknown, which is not an error, as with runc. */
export function reportStats(context: GlobalOptions, id: string, emit: Emit): void {
  const { cgroup, pidfd } = running(context, id);
  closeSync(pidfd);
  if (cgroup === "") context.log.warn(withoutCgroup(id));
  emit({ type: "stats", id, data: cgroup === "" ? noStats() : readStats(cgroup) });
}

/**
 * Reports the usage of the container once an interval, and each OOM kill in it, until the container stops. `watchPressure` begins to watch for
 * pressure in its cgroup, which is reported, too.
 */
export function reportEvents(
  context: GlobalOptions,
  id: string,
  intervalMs: number,
  emit: (event: ContainerEvent | PressureEvent) => void,
  watchPressure?: (cgroup: string) => PressureWatch,
): void {
  const observation = observe(context, id);
  const { pidfd, oomDescriptor } = observation;
  let pressure: PressureWatch | undefined;
  try {
    pressure = watchPressure?.(observation.cgroup);
    let next = performance.now() + intervalMs;
    for (;;) {
      const waitMs = Math.max(0, Math.ceil(next - performance.now()));
      const readable = [pidfd, ...(oomDescriptor === undefined ? [] : [oomDescriptor])];
      const polled = waitNotified(readable, pressure?.descriptors() ?? [], waitMs);
      // Before the end of the container: the kernel may have killed init for want of memory.
      const oom = observation.oom();
      if (oom !== undefined) emit(oom);
      for (const event of pressure?.take(polled) ?? []) emit(event);
      if (polled.ready.includes(pidfd)) return;
      for (const trigger of pressure?.dropFailed(polled) ?? [])
        if (!observation.hasEnded())
          context.log.warn(
            `--psi ${trigger}: the kernel does not watch the pressure of container ${id} any more`,
          );
      if (performance.now() < next) continue;
      if (observation.hasEnded()) return;
      emit(observation.stats());
      next = Math.max(next + intervalMs, performance.now());
    }
  } finally {
    pressure?.close();
    observation.close();
  }
}

/** Begins to watch a container, which has to be running and to have a cgroup. */
export function observe(context: GlobalOptions, id: string): Observation {
  const { cgroup, pidfd, hasEnded } = observed(context, id);
  const watch = watchOomKills(context, cgroup);
  return {
    cgroup,
    pidfd,
    hasEnded,
    oomDescriptor: watch?.descriptor,
    oom: () => (watch?.happened() === true ? { type: "oom", id } : undefined),
    stats: () => ({ type: "stats", id, data: readStats(cgroup) }),
    close: () => {
      if (watch !== undefined) closeSync(watch.descriptor);
      closeSync(pidfd);
    },
  };
}

interface Running {
  readonly cgroup: string;
  readonly pidfd: number;
  readonly hasEnded: () => boolean;
}

function running({ root }: GlobalOptions, id: string): Running {
  const { directory, saved } = readSavedState(root, id);
  const status = statusOf(directory, saved);
  const pidfd =
    status === "stopped" || status === "creating" ? undefined : openProcess(saved.pid, saved.startTime);
  if (pidfd === undefined)
    throw new RuntsError(`container with id ${id} is not running`, { operation: "events", path: id });
  return { cgroup: saved.cgroup, pidfd, hasEnded: () => !isAlive(saved.pid, saved.startTime) };
}

function observed(context: GlobalOptions, id: string): Running {
  const found = running(context, id);
  if (found.cgroup !== "") return found;
  closeSync(found.pidfd);
  throw new RuntsError(withoutCgroup(id), { operation: "events", path: id });
}

function withoutCgroup(id: string): string {
  return `container ${id} has no cgroup: without one nothing is counted`;
}

interface OomWatch {
  /** Becomes readable when there may be something new. */
  readonly descriptor: number;
  /** Whether there was an OOM kill since the last call. */
  happened(): boolean;
}

/** The kernel reports each change of memory.events, also of those of the cgroups below. cgroup-v2.rst, Memory */
function watchOomKills({ log }: GlobalOptions, cgroup: string): OomWatch | undefined {
  const path = `${cgroup}/memory.events`;
  if (!existsSync(path)) {
    log.debug(`no memory controller in ${cgroup}: OOM kills are not reported`);
    return undefined;
  }
  const descriptor = watchModifications(path);
  let kills = oomKills(cgroup);
  return {
    descriptor,
    happened: () => {
      takeModifications(descriptor);
      const before = kills;
      // The file is gone with the cgroup.
      kills = Math.max(before, oomKills(cgroup));
      return kills > before;
    },
  };
}

function oomKills(cgroup: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(tryReadCgroupFile(cgroup, "memory.events") ?? "")?.[1] ?? 0);
}
