import { SIGKILL } from "../../../bindings/abi/signal.ts";
import { trySyscall } from "../../../bindings/ffi/syscall.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { pidfdOpen } from "../../../bindings/linux/pidfd.ts";
import { waitReadable } from "../../../bindings/linux/poll.ts";
import { END_TIMEOUT_MS } from "../../../bindings/linux/reap.ts";
import type { Program } from "../../../bindings/stub/program.ts";
import { allowsSetgroups } from "../../init/id-mappings.ts";
import { receiveReply } from "../../init/run-program.ts";
import type { PendingProcess } from "../../init/spawn-process.ts";
import { takeStreams } from "../../init/standard-streams.ts";
import { becomeRootOf, type RootIds } from "../../plan/namespaces.ts";
import { execProgram } from "../../plan/process/exec.ts";
import type { AllowedAnnotations } from "../../spec/annotations.ts";
import type { Hook } from "../../spec/types.ts";
import { inheritedNofile, inspectCaller } from "../caller/caller.ts";
import { type JoinCgroup, openJoinCgroup } from "../join/cgroup.ts";
import { joinContainer, joinsUserNamespace } from "../join/join.ts";
import { differingNamespaces } from "../join/namespaces.ts";
import { lastProgramFailure } from "../process/exec-result.ts";
import { reapChild } from "../process/exit-status.ts";

/** The container that a hook runs in, as its root. */
export interface HookContainer {
  readonly pid: number;
  /** Empty if it has none. */
  readonly cgroup: string;
  readonly ownUserNamespace: boolean;
  /** Ids of the root of its user namespace. */
  readonly rootIds: RootIds;
}

/** The place of a hook that runs with the rights of the runtime, or of the container's root. */
export interface HookPlace {
  readonly cwd: string;
  /** Absent: the hook runs in the runtime's namespaces. */
  readonly container?: HookContainer;
  /** Annotations that name files for the output of hooks. */
  readonly output?: AllowedAnnotations | undefined;
}

/** A hook and its standard streams. */
export interface HookRun {
  readonly hook: Hook;
  readonly stdio: readonly [number, number, number];
}

/** Makes the process of a hook. */
export interface HookProcess {
  readonly spawn: (run: HookRun) => PendingProcess;
  /** Leads it to its execve. Returns its pid, and the last program, which ends in the execve. */
  readonly lead: (pending: PendingProcess, run: HookRun) => { readonly pid: number; readonly last: Program };
  /** Closes all that it has opened, however far it has come. */
  readonly close: () => void;
  /** As in HookPlace. */
  readonly output?: AllowedAnnotations | undefined;
}

/**
 * Runs a hook to its end through a stub, as every process that the runtime starts: with the environment that is listed and no
 * other, signals and limits as the caller has them, no descriptor of the runtime, and, in the container's namespaces, no program
 * of the host before its execve. Returns the reason if it fails, undefined for exit status 0.
 */
export function runHookProcess(process: HookProcess, run: HookRun): string | undefined {
  const started = performance.now();
  let pending: PendingProcess | undefined;
  try {
    pending = process.spawn(run);
    const { pid, last } = process.lead(pending, run);
    const failure = lastProgramFailure(pending.channel.descriptor, last);
    if (failure !== undefined) return failure;
    const reason = awaitEnd(pid, run.hook, started);
    pending.close();
    pending = undefined;
    return reason;
  } finally {
    // As long as the process is not reaped, the init of its pid namespace can't end: pid_namespaces(7).
    pending?.kill();
    process.close();
  }
}

export function hookProcessIn({ cwd, container, output }: HookPlace): HookProcess {
  let cgroup: JoinCgroup | undefined;
  return {
    output,
    spawn: () => {
      const { ignoredSignals, privileged } = inspectCaller();
      if (container === undefined) return joinContainer(undefined, { ignoredSignals, privileged: false });
      const flags = differingNamespaces(container.pid);
      const joinsUser = joinsUserNamespace(privileged, flags);
      cgroup = openJoinCgroup(container, { refusePaused: undefined }, joinsUser);
      const init = new OwnedDescriptor(pidfdOpen(container.pid) ?? -1);
      try {
        return joinContainer({ pidfd: init.number, flags, cgroup }, { ignoredSignals, privileged: true });
      } finally {
        init.close();
      }
    },
    lead: (pending, { hook, stdio }) => {
      const { pid, channel } = pending.finish();
      cgroup?.attach?.(pid);
      const program = channel.program();
      program.about("", `prepare the hook ${hook.path}`);
      takeStreams(program, stdio);
      if (container?.ownUserNamespace === true)
        becomeRootOf(program, container.rootIds, { setsGroups: allowsSetgroups(container.pid) });
      program.do("chdir", [cwd]);
      channel.send(program);
      // Planned while the process does that.
      const last = channel.program();
      execHook(last, hook, cwd);
      receiveReply(channel, program);
      channel.send(last);
      return { pid, last };
    },
    close: () => cgroup?.close(),
  };
}

function execHook(program: Program, hook: Hook, cwd: string): void {
  execProgram(
    program,
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
}

/** A hook without arguments has its path as the only one, as execve(2) takes it for any other program. */
export function argumentsOf({ path, args = [] }: Hook): readonly string[] {
  return args.length === 0 ? [path] : args;
}

function awaitEnd(pid: number, { timeout }: Hook, started: number): string | undefined {
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return "it can't be waited for";
  const limit =
    timeout === undefined ? NO_LIMIT_MS : Math.ceil(timeout * 1000 - (performance.now() - started));
  const ended = waitReadable(pidfd, Math.max(0, limit));
  // The hook leads its own session, and so its own process group: the processes that it has started are killed with it.
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

/** A hook without a timeout may take any time (config.md, POSIX-platform Hooks). These are some weeks. */
const NO_LIMIT_MS = 0x7fff_ffff;
