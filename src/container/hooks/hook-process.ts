import { CLONE_NEWUSER } from "../../../bindings/abi/sched.ts";
import { SIGKILL } from "../../../bindings/abi/signal.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { pidfdOpen } from "../../../bindings/linux/pidfd.ts";
import { waitReadable } from "../../../bindings/linux/poll.ts";
import { END_TIMEOUT_MS, killAndReap } from "../../../bindings/linux/reap.ts";
import type { StubChannel } from "../../../bindings/stub/client.ts";
import type { Program } from "../../../bindings/stub/program.ts";
import { allowsSetgroups } from "../../init/id-mappings.ts";
import { receiveReply } from "../../init/run-program.ts";
import { type PendingInit, spawnInit } from "../../init/spawn-init.ts";
import { takeStreams } from "../../init/standard-streams.ts";
import { becomeRootOf } from "../../plan/namespaces.ts";
import { execProgram } from "../../plan/process/exec.ts";
import type { Hook } from "../../spec/types.ts";
import { type Caller, inheritedNofile, inspectCaller } from "../caller/caller.ts";
import { type CgroupEntry, openJoinCgroup } from "../join/cgroup.ts";
import { differingNamespaces } from "../join/namespaces.ts";
import { lastProgramFailure } from "../process/exec-result.ts";
import { reapChild } from "../process/exit-status.ts";

/** The container in whose namespaces and cgroup a hook runs, as its root. */
export interface HookContainer {
  readonly pid: number;
  /** Empty if it has none. */
  readonly cgroup: string;
  readonly ownUserNamespace: boolean;
}

/** Where a hook runs with the rights of the runtime, or of the container's root. */
export interface HookPlace {
  readonly cwd: string;
  /** Absent: the hook runs in the runtime's namespaces. */
  readonly container?: HookContainer;
}

/** A hook and its standard streams. */
export interface HookRun {
  readonly hook: Hook;
  readonly stdio: readonly [number, number, number];
}

/** How the process of a hook comes to be. */
export interface HookProcess {
  readonly spawn: (run: HookRun) => PendingInit;
  /** Leads it to its execve, and tells its pid as soon as there is one. Returns the program that ends in the execve. */
  readonly lead: (pending: PendingInit, run: HookRun, spawned: (pid: number) => void) => Program;
  /** Lets go of all that it has taken, however far it has got. */
  readonly close: () => void;
}

/**
 * Runs a hook to its end through a stub, as every process that the runtime starts: with the environment that is listed and no
 * other, signals and limits as the caller has them, no descriptor of the runtime, and, in the container's namespaces, no program
 * of the host before its execve. Returns what went wrong, undefined for exit status 0.
 */
export function runHookProcess(process: HookProcess, run: HookRun): string | undefined {
  const started = performance.now();
  let pending: PendingInit | undefined;
  let pid = 0;
  try {
    pending = process.spawn(run);
    const last = process.lead(pending, run, (spawned) => {
      pid = spawned;
    });
    const failure = lastProgramFailure(pending.channel.descriptor, last);
    if (failure !== undefined) return failure;
    const reason = awaitEnd(pid, run.hook, started);
    pid = 0;
    return reason;
  } finally {
    pending?.close();
    // Nobody else would. And as long as it is not reaped, the init of its pid namespace can't end: pid_namespaces(7).
    if (pid !== 0) killAndReap(pid);
    process.close();
  }
}

export function hookProcessIn(place: HookPlace): HookProcess {
  const { container } = place;
  let entry: CgroupEntry | undefined;
  return {
    spawn: () => {
      const caller = inspectCaller();
      if (container === undefined) return spawnOutside(caller);
      const flags = differingNamespaces(container.pid);
      const joinsUserNamespace = caller.privileged && (flags & CLONE_NEWUSER) !== 0;
      entry = openJoinCgroup(container, { refusePaused: undefined }, joinsUserNamespace);
      return spawnInside(caller, container, flags, entry.descriptor);
    },
    lead: (pending, run, spawned) => {
      const { pid } = pending.finish();
      spawned(pid);
      entry?.attach?.(pid);
      return lead(pending.channel, run, place);
    },
    close: () => entry?.close(),
  };
}

/** What execve(2) takes for a hook without arguments, as for any other program. */
export function argumentsOf({ path, args = [] }: Hook): readonly string[] {
  return args.length === 0 ? [path] : args;
}

const NOT_NEW = { linux: {}, namespaces: { created: new Set<string>(), joined: new Map() }, keepFds: 0 };

function spawnOutside({ ignoredSignals }: Caller): PendingInit {
  return spawnInit({ ...NOT_NEW, ignoredSignals, privileged: false, cgroup: undefined });
}

function spawnInside(
  { ignoredSignals }: Caller,
  container: HookContainer,
  flags: number,
  cgroup: number | undefined,
): PendingInit {
  const init = new OwnedDescriptor(pidfdOpen(container.pid) ?? -1);
  try {
    const join = { pidfd: init.number, flags };
    return spawnInit({ ...NOT_NEW, ignoredSignals, privileged: true, join, cgroup });
  } finally {
    init.close();
  }
}

function lead(channel: StubChannel, { hook, stdio }: HookRun, { cwd, container }: HookPlace): Program {
  const program = channel.program();
  program.about("", `prepare the hook ${hook.path}`);
  takeStreams(program, stdio);
  if (container?.ownUserNamespace === true) becomeRootOf(program, allowsSetgroups(container.pid));
  program.do("chdir", [cwd]);
  channel.send(program);
  const last = channel.program();
  execProgram(
    last,
    { cwd, args: argumentsOf(hook) },
    {
      listener: undefined,
      path: hook.path,
      env: hook.env ?? [],
      keepFds: 0,
      gaps: [],
      inheritedNofile: inheritedNofile(),
      seccomp: undefined,
    },
  );
  receiveReply(channel, program);
  channel.send(last);
  return last;
}

function awaitEnd(pid: number, { timeout }: Hook, started: number): string | undefined {
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return "it can't be waited for";
  const limit =
    timeout === undefined ? NO_LIMIT_MS : Math.ceil(timeout * 1000 - (performance.now() - started));
  const ended = waitReadable(pidfd, Math.max(0, limit));
  // It leads a session of its own, and so a process group: what it has started goes with it.
  if (!ended) trySyscall("kill", -pid, SIGKILL);
  const gone = ended || waitReadable(pidfd, END_TIMEOUT_MS);
  closeSync(pidfd);
  const status = gone ? reapChild(pid) : undefined;
  const elapsed = `after ${Math.round(performance.now() - started)} ms`;
  if (!ended) return `timed out after ${timeout} s`;
  if (status === undefined || status.exitCode === 0) return undefined;
  const { exitCode, signal } = status;
  return signal === undefined ? `exit status ${exitCode} ${elapsed}` : `signal ${signal} ${elapsed}`;
}

/** A hook without a timeout may take any time (config.md, POSIX-platform Hooks): some weeks. */
const NO_LIMIT_MS = 0x7fff_ffff;
