import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import type { Program } from "../../bindings/stub/program.ts";
import { becomeRootOf, resetCpuAffinity } from "../plan/namespaces.ts";
import { openTerminal } from "../plan/process/console.ts";
import { setsGroups } from "../plan/process/credentials.ts";
import { type ProcessOptions, planProcess, sendExec } from "./prepare-process.ts";
import { Session } from "./session.ts";
import type { Init, PendingInit } from "./spawn-init.ts";

export interface ExecSetUpOptions extends ProcessOptions {
  readonly inUserNamespace: boolean;
  readonly consoleSocket: number | undefined;
  /** Chooses the CPUs; absent if all that the cgroup allows may be used. */
  readonly chooseCpus: ((program: Program) => void) | undefined;
  readonly spawned: (process: Init) => void;
}

/** Drives a process from its clone, which is in the container's namespaces and cgroup already, to its execve. */
export function setUpExec(pending: PendingInit, options: ExecSetUpOptions): Program {
  const { channel } = pending;
  const session = new Session(pending);
  const { program } = session;
  (options.chooseCpus ?? resetCpuAffinity)(program);
  program.about("", "clear the umask for the set-up");
  program.do("umask", [0]);
  if (options.inUserNamespace) becomeRootOf(program, setsGroups(options.credentials));
  program.about("", "open the container's root directory");
  const root = program.call("openat", [AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0]);
  const { consoleSocket } = options;
  const terminal =
    consoleSocket === undefined ? undefined : openTerminal(program, root, program.descriptor(consoleSocket));
  if (terminal !== undefined) session.checks.push(terminal.check);
  const planned = planProcess(session, root, options, terminal);
  options.spawned({ pid: session.awaitInit(), channel });
  session.send();
  return sendExec(session, planned, options, undefined);
}
