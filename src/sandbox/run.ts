import { rmSync } from "../../bindings/linux/directories.ts";
import { randomNumber } from "../../bindings/linux/random.ts";
import { windowSize } from "../../bindings/linux/terminal.ts";
import type { GlobalOptions, RunOptions } from "../container/context.ts";
import { prepareStateRoot } from "../container/record/state-root.ts";
import { runContainer } from "../container/run.ts";
import { RuntsError, reworded } from "../errors.ts";
import { writeStandardError } from "../log.ts";
import { inputText } from "../spec/config-input.ts";
import { type SandboxConfig, sandboxConfig } from "./config.ts";
import { Deadline } from "./deadline.ts";
import { inspectHost } from "./host.ts";
import type { SandboxOptions } from "./options.ts";
import { hasUsualRoot } from "./usual-root.ts";

/** timeout(1) */
const TIMED_OUT = 124;

export interface SandboxRun {
  /** Whether the program gets a terminal of its own; undefined if it gets one where the caller has one. */
  readonly terminal: boolean | undefined;
  readonly timeoutMs?: number;
  /** Whether the record stays after the program has ended. */
  readonly keep: boolean;
}

/** Runs a command in a sandbox, in the foreground. Returns its exit code: 128 and the number for a signal, 124 if its time was up. */
export async function runSandbox(
  context: GlobalOptions,
  options: SandboxOptions,
  { terminal, timeoutMs, keep }: SandboxRun,
): Promise<number> {
  const temporary = temporaryRoot(context.hasNamedRoot === true);
  const root = temporary ?? context.root;
  const planned = planSandbox(options, { stateRoot: root, terminal: terminal ?? isOnTerminal() });
  let deadline: Deadline | undefined;
  const run: RunOptions = {
    ...sandboxOptions(planned),
    detach: false,
    keep,
    noSubreaper: true,
    ...(timeoutMs !== undefined && {
      serve: (pid) => {
        deadline = new Deadline(pid, timeoutMs);
        return deadline;
      },
    }),
  };
  const own = sandboxContext({ ...context, root }, planned, temporary !== undefined);
  try {
    prepareStateRoot(own);
    const code = await runContainer(own, run);
    if (keep) writeStandardError(`runts: kept ${run.id}; runts --root ${root} delete ${run.id} removes it\n`);
    return deadline?.hasPassed === true ? TIMED_OUT : code;
  } catch (error) {
    throw withOption(error, planned);
  } finally {
    if (temporary !== undefined && !keep) rmSync(temporary, { recursive: true, force: true });
  }
}

/** The config of a sandbox for this host and caller. */
export function planSandbox(
  options: SandboxOptions,
  surroundings: { readonly stateRoot: string; readonly terminal: boolean },
): SandboxConfig {
  return sandboxConfig(options, inspectHost(), { ...surroundings, machine: process.arch });
}

/** The options by which `create` makes the planned sandbox. */
export function sandboxOptions({ config }: SandboxConfig) {
  return {
    id: `sandbox-${randomNumber().toString(16)}`,
    // It has no bundle: its root file system is in its own directory.
    bundle: "/",
    configText: inputText(config, "config"),
    makesRootfs: true,
    underInit: true,
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 0,
  };
}

/** Without limits a sandbox stays in the caller's cgroup, with the caller's limits: its pid namespace is enough to end all of it. */
export function sandboxContext(
  context: GlobalOptions,
  { hasLimits }: SandboxConfig,
  isTemporary: boolean,
): GlobalOptions {
  return {
    ...context,
    ...(!hasLimits && { noCgroup: true, systemdCgroup: false }),
    ...(isTemporary && { keepFilters: false }),
  };
}

/** Names the option that has asked for what failed. */
export function withOption(error: unknown, { optionAt }: SandboxConfig): unknown {
  if (!(error instanceof RuntsError)) return error;
  const option = optionAt(error.pointer ?? error.issues[0]?.pointer ?? "");
  return option === undefined ? error : reworded(error, `${option}: ${error.message}`);
}

/**
 * Directory for a state of its own, where a user who is not root has no XDG_RUNTIME_DIR: services and jobs of CI have none. undefined if
 * there is a usual one.
 */
export function temporaryRoot(hasNamedRoot: boolean): string | undefined {
  if (hasNamedRoot || hasUsualRoot()) return undefined;
  return `/tmp/runts-sandbox-${randomNumber().toString(16)}`;
}

/** The program sees a terminal if it would without a sandbox; output that goes to a file or a pipe stays there. */
function isOnTerminal(): boolean {
  return windowSize(0) !== undefined && windowSize(1) !== undefined;
}
