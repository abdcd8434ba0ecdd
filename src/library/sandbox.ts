import { rmSync } from "../../bindings/linux/directories.ts";
import { createContainer } from "../container/create.ts";
import { deleteContainer } from "../container/delete.ts";
import type { SavedState } from "../container/record/saved-state.ts";
import { startContainer } from "../container/start.ts";
import { Deadline } from "../sandbox/deadline.ts";
import type { SandboxOptions as Wishes } from "../sandbox/options.ts";
import { planSandbox, sandboxContext, sandboxOptions, temporaryRoot, withOption } from "../sandbox/run.ts";
import {
  OpenStreams,
  type Result,
  refusePipe,
  type StreamOptions,
  type StreamTarget,
  textOf,
} from "./process-streams.ts";
import { preparedContext, type Settings } from "./settings.ts";
import { after, exitOf, reapInit } from "./waiting.ts";

/** The options of `runts sandbox`, the state directory, and the streams: by default the output is in the result. */
export interface SandboxOptions extends Wishes, Settings, StreamOptions {
  readonly stdin?: Exclude<StreamTarget, "pipe">;
  /** The program gets SIGTERM after this time, and SIGKILL 5 s later. */
  readonly timeoutMs?: number;
}

export interface SandboxResult extends Result {
  /** Whether the program had to be ended, since its time was up. */
  readonly timedOut: boolean;
}

/**
 * Runs a command in a sandbox, as `runts sandbox` does, and waits until it ends. It ends with the thread of this program that has called
 * this function. Throws a RuntsError, which names the option of the command line, and leaves nothing behind.
 */
export async function sandbox(options: SandboxOptions): Promise<SandboxResult> {
  refusePipe(options, "create and start");
  const temporary = temporaryRoot(options.root !== undefined);
  const context = preparedContext(temporary === undefined ? options : { ...options, root: temporary });
  try {
    const planned = planSandbox(options, { stateRoot: context.root, terminal: false });
    const own = sandboxContext(context, planned, temporary !== undefined);
    const streams = new OpenStreams({ stdout: "pipe", stderr: "pipe", ...options });
    const created = { ...sandboxOptions(planned), stdio: streams.descriptors };
    let saved: SavedState;
    try {
      saved = createContainer(own, created);
    } catch (error) {
      streams.abandon();
      throw withOption(error, planned);
    }
    const { stdout, stderr } = streams.handOver();
    const output = Promise.all([textOf(stdout), textOf(stderr)]);
    const { timeoutMs } = options;
    const timer = timeoutMs === undefined ? undefined : new DeadlineTimer(new Deadline(saved.pid, timeoutMs));
    try {
      await startContainer(own, created.id, { notify: "by nobody", underInit: true });
      const exit = await exitOf(saved.pid);
      const [out, err] = await output;
      return { ...exit, stdout: out, stderr: err, timedOut: timer?.deadline.hasPassed === true };
    } finally {
      timer?.close();
      deleteContainer(own, created.id, { force: true, only: saved });
      reapInit(saved);
    }
  } finally {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
  }
}

/** Lets the deadline act whenever it is due, beside what else this program does. */
class DeadlineTimer {
  readonly deadline: Deadline;
  #timer: { cancel(): void } | undefined;

  constructor(deadline: Deadline) {
    this.deadline = deadline;
    this.#wait();
  }

  #wait(): void {
    const { elapsed, cancel } = after(this.deadline.remainingMs);
    this.#timer = { cancel };
    void elapsed.then(() => {
      this.deadline.forward();
      this.#wait();
    });
  }

  close(): void {
    this.#timer?.cancel();
    this.deadline.close();
  }
}
