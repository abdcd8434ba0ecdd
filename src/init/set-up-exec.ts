import { AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import type { Program } from "../../bindings/stub/program.ts";
import { becomeRootOf, type RootIds, resetCpuAffinity } from "../plan/namespaces.ts";
import { openTerminal } from "../plan/process/console.ts";
import { setsGroups } from "../plan/process/credentials.ts";
import { type PlannedProcess, type ProcessOptions, planProcess } from "./prepare-process.ts";
import type { Session } from "./session.ts";

export interface ExecPlanOptions extends ProcessOptions {
  /** Root of the container's user namespace; undefined if it has none of its own. */
  readonly userNamespaceRoot: RootIds | undefined;
  /** The process opens a terminal, and sends the master to this socket. */
  readonly consoleSocket: number | undefined;
  /** Chooses the CPUs; absent if all that the cgroup allows may be used. */
  readonly chooseCpus: ((program: Program) => void) | undefined;
}

/** Plans the preparation of a process that is cloned into a container's namespaces and cgroup, up to its last program. */
export function planExec(session: Session, options: ExecPlanOptions): PlannedProcess {
  const { program, checks } = session;
  (options.chooseCpus ?? resetCpuAffinity)(program);
  program.about("", "clear the umask for the set-up");
  program.do("umask", [0]);
  if (options.userNamespaceRoot !== undefined)
    becomeRootOf(program, options.userNamespaceRoot, { setsGroups: setsGroups(options.credentials) });
  program.about("", "open the container's root directory");
  const root = program.call("openat", [AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0]);
  const { consoleSocket } = options;
  const terminal =
    consoleSocket === undefined ? undefined : openTerminal(program, root, program.descriptor(consoleSocket));
  if (terminal !== undefined) checks.push(terminal.check);
  return planProcess(session, root, options, terminal);
}
