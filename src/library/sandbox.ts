import { SIGKILL, SIGTERM } from "../../bindings/abi/signal.ts";
import { rmSync } from "../../bindings/linux/directories.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdOpen, pidfdSendSignal } from "../../bindings/linux/pidfd.ts";
import { createContainer } from "../container/create.ts";
import { deleteContainer } from "../container/delete.ts";
import type { SavedState } from "../container/record/saved-state.ts";
import { startContainer } from "../container/start.ts";
import { GRACE_MS } from "../sandbox/deadline.ts";
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
    const timer = new Timer(saved.pid, options.timeoutMs);
    try {
      await startContainer(own, created.id, { notify: "by nobody", underInit: true });
      const exit = await exitOf(saved.pid);
      const [out, err] = await output;
      return { ...exit, stdout: out, stderr: err, timedOut: timer.hasPassed };
    } finally {
      timer.close();
      deleteContainer(own, created.id, { force: true, only: saved });
      reapInit(saved);
    }
  } finally {
    if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
  }
}

/** Ends a sandbox when its time is up. */
class Timer {
  readonly #pidfd: number;
  #timer: { cancel(): void } | undefined;
  hasPassed = false;

  constructor(pid: number, timeoutMs: number | undefined) {
    this.#pidfd = pidfdOpen(pid) ?? -1;
    if (timeoutMs !== undefined) this.#wait(timeoutMs, SIGTERM);
  }

  #wait(ms: number, signal: number): void {
    const { elapsed, cancel } = after(ms);
    this.#timer = { cancel };
    void elapsed.then(() => {
      this.hasPassed = true;
      pidfdSendSignal(this.#pidfd, signal);
      if (signal === SIGTERM) this.#wait(GRACE_MS, SIGKILL);
    });
  }

  close(): void {
    this.#timer?.cancel();
    closeSync(this.#pidfd);
  }
}
