import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdOpen, reapedStatus } from "../../bindings/linux/pidfd.ts";
import { waitAnyReadable } from "../../bindings/linux/poll.ts";
import type { GlobalOptions } from "./context.ts";
import { decodeStatus, type ExitStatus } from "./process/exit-status.ts";
import { isAlive, processStat } from "./process/process-status.ts";
import { withLockedContainer } from "./record/lock.ts";
import { noteExit } from "./record/note-exit.ts";
import { readSavedState, type SavedState } from "./record/saved-state.ts";
import { knownExit, statusOf } from "./record/status.ts";

/** How a container has ended, or why nobody can tell. */
export type ContainerEnd = ExitStatus | { readonly unknown: string };

/**
 * The longest time between two looks at the state of init. Its pidfd becomes readable at the end, but not while an init that has released
 * everything waits for other processes to be reaped: see isAlive.
 */
const LONGEST_WAIT_MS = 1000;
const FIRST_WAIT_MS = 10;

/**
 * Waits until these containers have stopped, and reports each as soon as it has and all before it in the list. A created one is waited for
 * through its start. Throws a RuntsError at once if one of them does not exist.
 */
export function waitForContainers(
  context: GlobalOptions,
  ids: readonly string[],
  report: (id: string, end: ContainerEnd) => void,
): void {
  const awaited: AwaitedContainer[] = [];
  try {
    // All are opened before one is waited for: from then on, none can be reaped unseen.
    for (const id of ids) awaited.push(new AwaitedContainer(context, id));
    const unreported = [...awaited];
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
      // Each is looked at, so that an exit code is read while it can be, whoever is reported first.
      const running = awaited.filter((container) => container.end() === undefined);
      for (let end = unreported[0]?.end(); end !== undefined; end = unreported[0]?.end()) {
        const reported = unreported.shift();
        if (reported === undefined) break;
        report(reported.id, end);
        reported.note();
      }
      if (running.length === 0) return;
      waitAnyReadable(
        running.flatMap(({ pidfd }) => pidfd ?? []),
        waitMs,
      );
    }
  } finally {
    for (const container of awaited) container.close();
  }
}

/** A container whose end is awaited: a pidfd holds its init, so that neither its pid nor its exit code can get lost. */
export class AwaitedContainer {
  readonly id: string;
  /** Readable when init has ended; undefined if there was no init any more. */
  readonly pidfd: number | undefined;
  readonly #context: GlobalOptions;
  readonly #saved: SavedState;
  #end: ContainerEnd | undefined;

  constructor(context: GlobalOptions, id: string) {
    this.id = id;
    this.#context = context;
    const { saved, isComplete } = stateAfterCreate(context, id);
    this.#saved = saved;
    this.pidfd = isComplete ? openInit(saved) : undefined;
    if (!isComplete) this.#end = { unknown: "its creation was cut short" };
  }

  /** How init has ended; undefined while it has not. */
  end(): ContainerEnd | undefined {
    const { pid, startTime } = this.#saved;
    if (this.#end === undefined && !isAlive(pid, startTime)) this.#end = this.#read();
    return this.#end;
  }

  #read(): ContainerEnd {
    const known = knownExit(this.#saved);
    if (known !== undefined) return known;
    if (this.pidfd === undefined) return { unknown: "its process had been reaped before" };
    const word = reapedStatus(this.pidfd);
    if (word !== undefined) return decodeStatus(word);
    const isReaped = processStat(this.#saved.pid)?.startTime !== this.#saved.startTime;
    const reason = isReaped
      ? "its parent has reaped the process, and the kernel is older than Linux 6.15"
      : "its parent has not reaped the process yet, and until then only a caller who may trace it can read the code";
    return { unknown: reason };
  }

  /** Notes a known end in the container's record. */
  note(): void {
    const end = this.#end;
    if (end === undefined || "unknown" in end) return;
    if (this.#saved.exitStatus === undefined) noteExit(this.#context, this.#saved, end);
  }

  close(): void {
    if (this.pidfd !== undefined) closeSync(this.pidfd);
  }
}

/** Waits for the end of a create that runs. `isComplete` is false if it has not got to its end. */
function stateAfterCreate(
  context: GlobalOptions,
  id: string,
): { readonly saved: SavedState; readonly isComplete: boolean } {
  const { directory, saved } = readSavedState(context.root, id);
  const now =
    statusOf(directory, saved) === "creating"
      ? withLockedContainer(context, id, (held) => held.saved)
      : saved;
  return { saved: now, isComplete: now.creator === null };
}

/** Opens a pidfd of init, also of one that has ended and is not reaped. Returns undefined if it is gone. */
function openInit({ pid, startTime }: SavedState): number | undefined {
  const pidfd = pid === 0 ? undefined : pidfdOpen(pid);
  if (pidfd === undefined) return undefined;
  // Checked only now: the pidfd stays that of the process that it was opened for.
  if (processStat(pid)?.startTime === startTime) return pidfd;
  closeSync(pidfd);
  return undefined;
}
