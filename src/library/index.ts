/**
 * runts as a library: the operations of the command line as functions, with typed configs, states and errors. They run the same code, but
 * print nothing, can connect standard streams to this program, and leave init as a child of this process. Each operation blocks the
 * event loop for some milliseconds. What they refuse is a RuntsError; an unexpected failure of a system call may be another Error.
 */
import type { Readable, Writable } from "node:stream";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { createContainer } from "../container/create.ts";
import { deleteContainer } from "../container/delete.ts";
import { type ContainerEvent, observe } from "../container/events.ts";
import { execInContainer } from "../container/exec.ts";
import { features } from "../container/features.ts";
import { killContainer } from "../container/kill.ts";
import { pauseContainer, resumeContainer } from "../container/pause.ts";
import type { ExitStatus } from "../container/process/exit-status.ts";
import { listProcesses } from "../container/ps.ts";
import { noteExit } from "../container/record/note-exit.ts";
import { readSavedState, type SavedState } from "../container/record/saved-state.ts";
import { type ContainerState, listContainers, readContainerState } from "../container/record/status.ts";
import { startContainer } from "../container/start.ts";
import { updateContainer } from "../container/update.ts";
import { type ConfigIssue, RuntsError } from "../errors.ts";
import { parseConfig } from "../spec/config.ts";
import { type ConfigInput, type Input, inputText } from "../spec/config-input.ts";
import { defaultConfig } from "../spec/default-config.ts";
import type { LinuxResources } from "../spec/types.ts";
import {
  OpenStreams,
  type ProcessStreams,
  type Result,
  refusePipe,
  type StreamOptions,
  type StreamTarget,
  textOf,
} from "./process-streams.ts";
import { type SandboxOptions, type SandboxResult, sandbox } from "./sandbox.ts";
import { contextOf, preparedContext, type Settings } from "./settings.ts";
import { after, exitOf, exitOfContainer, isOurInit, reapInit, waitFor } from "./waiting.ts";

export type { Status } from "../container/record/status.ts";
export type * from "../spec/types.ts";
export type {
  ConfigInput,
  ConfigIssue,
  ContainerEvent,
  ContainerState,
  ExitStatus,
  Input,
  LinuxResources,
  ProcessStreams,
  Result,
  SandboxOptions,
  SandboxResult,
  Settings,
  StreamOptions,
  StreamTarget,
};
export { defaultConfig, features, RuntsError, sandbox };

export interface CreateOptions extends Settings, StreamOptions {
  readonly id: string;
  /** Bundle directory, by default the current one. `root.path` is relative to it, and poststop hooks run in it. */
  readonly bundle?: string;
  /** Replaces the bundle's config.json. */
  readonly config?: ConfigInput;
  /** Path of a socket that receives the terminal's master, for a config with `process.terminal`. */
  readonly consoleSocket?: string;
  /** Uses MS_MOVE and chroot(2) instead of pivot_root(2), for a root file system on the initramfs. */
  readonly noPivot?: boolean;
  /** Keeps the caller's session keyring. */
  readonly noNewKeyring?: boolean;
}

export interface Created extends ProcessStreams {
  readonly id: string;
  /** Init's pid, in the pid namespace of this program. */
  readonly pid: number;
}

export interface ExecOptions extends Settings, StreamOptions {
  readonly args: readonly string[];
  /** Added to the environment of the container's process: `NAME=value`. */
  readonly env?: readonly string[];
  readonly cwd?: string;
  /** `UID[:GID]` */
  readonly user?: string;
  readonly additionalGids?: readonly number[];
  /** Added to those of the container's process, such as `CAP_CHOWN`. */
  readonly capabilities?: readonly string[];
  /** By default that of the container's process. */
  readonly noNewPrivileges?: boolean;
  /** A path below the container's cgroup. */
  readonly cgroup?: string;
}

export interface Spawned extends ProcessStreams {
  readonly pid: number;
  /** Resolves when the process has exited. */
  readonly exited: Promise<ExitStatus>;
}

/** Options of functions that wait for the exit. Standard input can't be a pipe, as nobody could write to it meanwhile. */
export type RunOptions<Options extends StreamOptions = CreateOptions> = Options & {
  readonly stdin?: Exclude<StreamTarget, "pipe">;
};

/** Exit statuses of containers that this process has created, by state directory and id: a process can be reaped only once, but `wait` may be called again. */
const exits = new Map<string, Promise<ExitStatus>>();

/**
 * Creates a container, whose init waits for `start`. Init is a child of this process, and is reparented to the nearest subreaper
 * when this process exits. Throws a RuntsError, which lists all violated rules of an invalid config in `issues`, and leaves nothing behind.
 */
export async function create(options: CreateOptions): Promise<Created> {
  const { id, bundle, config, consoleSocket, noPivot = false, noNewKeyring = false } = options;
  const context = preparedContext(options);
  const streams = new OpenStreams(options);
  try {
    const { pid } = createContainer(context, {
      id,
      bundle: absolutePath(bundle ?? "."),
      noPivot,
      noNewKeyring,
      preserveFds: 0,
      stdio: streams.descriptors,
      ...(config !== undefined && { configText: inputText(config, "config") }),
      ...(consoleSocket !== undefined && { consoleSocket: absolutePath(consoleSocket) }),
    });
    exits.delete(exitKey(context.root, id));
    return { id, pid, ...streams.handOver() };
  } catch (error) {
    streams.abandon();
    throw error;
  }
}

/** Starts the process of a created container. Resolves when it has executed its program. */
export async function start(id: string, settings: Settings = {}): Promise<void> {
  await startContainer(contextOf(settings), id, { notify: "until ready" });
}

/**
 * Waits until a container exits, whoever has created it. May be called before `start`, and more than once. Throws a RuntsError if nobody can
 * tell the exit code of a container that another process has created: see `runts wait --help`.
 */
export async function wait(id: string, settings: Settings = {}): Promise<ExitStatus> {
  const context = contextOf(settings);
  const key = exitKey(context.root, id);
  const known = exits.get(key);
  if (known !== undefined) return known;
  const { saved } = readSavedState(context.root, id);
  if (!isOurInit(saved)) return exitOfContainer(context, id);
  const exit = exitOf(saved.pid);
  exits.set(key, exit);
  noteExit(context, saved, await exit);
  return exit;
}

/** Creates a container, starts it, waits until it exits, and removes it. By default its output is in the result. */
export async function run(options: RunOptions): Promise<Result> {
  refusePipe(options, "create and start");
  const { stdout, stderr } = await create({ stdout: "pipe", stderr: "pipe", ...options });
  const output = Promise.all([textOf(stdout), textOf(stderr)]);
  let exit: ExitStatus;
  try {
    await start(options.id, options);
    exit = await wait(options.id, options);
  } finally {
    await remove(options.id, { ...options, force: true });
  }
  // The pipes close with the last process. Without a pid namespace, processes that outlive init are ended only by the removal.
  const [out, err] = await output;
  return { ...exit, stdout: out, stderr: err };
}

/** Executes another process in a running container. Resolves when it has executed its program. */
export async function spawn(id: string, options: ExecOptions): Promise<Spawned> {
  const { args, env = [], cwd, user, capabilities = [], noNewPrivileges, cgroup } = options;
  const streams = new OpenStreams(options);
  let pid: number;
  try {
    pid = execInContainer(contextOf(options), {
      id,
      preserveFds: 0,
      ignorePaused: false,
      stdio: streams.descriptors,
      ...(cgroup !== undefined && { cgroup }),
      overrides: {
        args,
        tty: false,
        env,
        additionalGids: (options.additionalGids ?? []).map(String),
        capabilities,
        ...(noNewPrivileges !== undefined && { noNewPrivileges }),
        ...(cwd !== undefined && { cwd }),
        ...(user !== undefined && { user }),
      },
    });
  } catch (error) {
    streams.abandon();
    throw error;
  }
  return { pid, exited: exitOf(pid), ...streams.handOver() };
}

/** Executes another process in a running container and waits until it exits. By default its output is in the result. */
export async function exec(id: string, options: RunOptions<ExecOptions>): Promise<Result> {
  refusePipe(options, "spawn");
  const { stdout, stderr, exited } = await spawn(id, { stdout: "pipe", stderr: "pipe", ...options });
  const [exit, out, err] = await Promise.all([exited, textOf(stdout), textOf(stderr)]);
  return { ...exit, stdout: out, stderr: err };
}

/** Sends a signal, by name or number, to the container's init. */
export async function kill(
  id: string,
  signal: string | number = "SIGTERM",
  settings: Settings = {},
): Promise<void> {
  killContainer(contextOf(settings), id, String(signal), { all: false });
}

/**
 * Deletes a stopped container (`delete` is a reserved word). With `force`, a running one is killed first, and an unknown id is not an error.
 */
export async function remove(
  id: string,
  options: Settings & { readonly force?: boolean } = {},
): Promise<void> {
  const context = contextOf(options);
  const saved = readableState(context.root, id);
  deleteContainer(context, id, { force: options.force ?? false });
  const key = exitKey(context.root, id);
  // Without a `wait` it would stay a zombie. For a process that is not our child, the kernel returns an error.
  if (saved !== undefined && !exits.has(key)) reapInit(saved);
  exits.delete(key);
}

export async function state(id: string, settings: Settings = {}): Promise<ContainerState> {
  return readContainerState(contextOf(settings), id);
}

/** All containers of the state directory, sorted by id. */
export async function list(settings: Settings = {}): Promise<readonly ContainerState[]> {
  return listContainers(contextOf(settings));
}

/** Freezes all processes of a container. */
export async function pause(id: string, settings: Settings = {}): Promise<void> {
  pauseContainer(contextOf(settings), id);
}

export async function resume(id: string, settings: Settings = {}): Promise<void> {
  resumeContainer(contextOf(settings), id);
}

/** Changes the limits of a container. `resources` is `linux.resources` of the spec; absent properties keep their values. */
export async function update(
  id: string,
  resources: Input<LinuxResources>,
  settings: Settings = {},
): Promise<void> {
  updateContainer(contextOf(settings), id, { text: inputText(resources, "resources") });
}

/** Pids of the container's processes, in the pid namespace of this program. */
export async function ps(id: string, settings: Settings = {}): Promise<readonly number[]> {
  return listProcesses(contextOf(settings), id);
}

/**
 * Yields a container's stats at each interval, by default of 5000 ms, and its OOM kills as they happen, until it stops or the loop is left.
 * With an `intervalMs` of Infinity, it yields only the OOM kills.
 */
export async function* events(
  id: string,
  { intervalMs = 5000, ...settings }: Settings & { readonly intervalMs?: number } = {},
): AsyncGenerator<ContainerEvent, void, undefined> {
  if (!(intervalMs > 0))
    throw new RuntsError("intervalMs must be greater than 0", { operation: "events", errno: "EINVAL" });
  const observation = observe(contextOf(settings), id);
  const { pidfd, oomDescriptor } = observation;
  const end = waitFor(pidfd);
  const stopped = end.readable.then(() => "stopped" as const);
  try {
    let next = performance.now() + intervalMs;
    for (;;) {
      const oomWait = oomDescriptor === undefined ? undefined : waitFor(oomDescriptor);
      const timer = after(next - performance.now());
      const woken = await Promise.race([stopped, timer.elapsed, ...(oomWait ? [oomWait.readable] : [])]);
      timer.cancel();
      oomWait?.cancel();
      const oom = observation.oom();
      if (oom !== undefined) yield oom;
      if (woken === "stopped") return;
      if (performance.now() < next) continue;
      if (observation.hasEnded()) return;
      yield observation.stats();
      next = Math.max(next + intervalMs, performance.now());
    }
  } finally {
    end.cancel();
    observation.close();
  }
}

/** The violated rules of a config, each with its JSON pointer; empty if it is valid. */
export function validate(config: ConfigInput): readonly ConfigIssue[] {
  try {
    parseConfig(inputText(config, "config"), "config");
    return [];
  } catch (error) {
    if (error instanceof RuntsError && error.issues.length > 0) return error.issues;
    throw error;
  }
}

/** Undefined if there is no state or a damaged one, of which deleteContainer informs. */
function readableState(root: string, id: string): SavedState | undefined {
  try {
    return readSavedState(root, id).saved;
  } catch (error) {
    if (error instanceof RuntsError) return undefined;
    throw error;
  }
}

function exitKey(root: string, id: string): string {
  return `${root}/${id}`;
}

/** The types of the streams, for programs that don't import node:stream. */
export type { Readable, Writable };
