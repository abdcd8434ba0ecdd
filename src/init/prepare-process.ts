import { nulTerminatedBytes } from "../../bindings/abi/byte-text.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import type { Program, Register, Reply } from "../../bindings/stub/program.ts";
import { attachTerminal, type TerminalPlan } from "../plan/process/console.ts";
import {
  assumeCredentials,
  type CredentialOptions,
  setNoNewPrivileges,
} from "../plan/process/credentials.ts";
import {
  becomeDumpable,
  type ExecProgramOptions,
  execProgram,
  setUmask,
  type WaitFifo,
} from "../plan/process/exec.ts";
import { ExecutableSearch } from "../plan/process/executable.ts";
import { enterDomain, type LandlockDomain, makeRuleset } from "../plan/process/landlock.ts";
import { homeOf, openPasswd, readByteText } from "../plan/process/passwd.ts";
import {
  type ContainerNull,
  chownStdio,
  openContainerNull,
  replaceNulls,
  type StdioFacts,
} from "../plan/process/stdio.ts";
import { enterWorkingDirectory, verifyWorkingDirectory } from "../plan/process/working-directory.ts";
import type { Process } from "../spec/types.ts";
import { runProgram } from "./run-program.ts";
import type { Session } from "./session.ts";

/** The path of a program, and its variables. */
type GivenProgram = Pick<ExecProgramOptions, "path" | "env">;

/** The needs of a process in a container, its init and one of `exec` alike. */
export interface ProcessOptions {
  readonly process: Process;
  /** The program of a hook, which has just these variables; absent: the one that args[0] means, and HOME is added. */
  readonly program?: GivenProgram | undefined;
  readonly credentials: CredentialOptions;
  /**
   * Whether the runtime needs the process to be dumpable, as it does for hooks and exec in a container that waits: without
   * privileges it can't join the namespaces of another one (ptrace(2), access mode checking).
   */
  readonly staysDumpable: boolean;
  /** Variables that the runtime itself adds to the environment. */
  readonly addedEnv: readonly string[];
  readonly stdio: StdioFacts;
  /** Scheduling and the like, which few ask for: set by the process itself (`plan`), and by the runtime for it (`apply`). */
  readonly attributes:
    | { readonly plan: (program: Program) => void; readonly apply: (pid: number) => void }
    | undefined;
  /** The domain that the process enters once its set-up is done. */
  readonly landlock: LandlockDomain | undefined;
  readonly start: Pick<ExecProgramOptions, "keepFds" | "gaps" | "inheritedNofile" | "seccomp" | "underInit">;
}

/** A process whose preparation is planned, with what depends on the replies. */
export interface PlannedProcess {
  readonly devNull: ContainerNull | undefined;
  readonly program: GivenProgram | ProgramSearch;
}

/** Told by the replies: the program that args[0] means, and the home of the user. */
interface ProgramSearch {
  readonly passwd: Passwd;
  readonly executable: ExecutableSearch;
}

/** /etc/passwd of the container, opened while the process could read it. */
interface Passwd {
  readonly file: Register;
  readonly begin: (reply: Reply) => string;
}

/** Plans what config.md asks of `process`, but for what has to come right before the execve. */
export function planProcess(
  { program, checks }: Session,
  root: Register,
  options: ProcessOptions,
  terminal: TerminalPlan | undefined,
): PlannedProcess {
  const { process } = options;
  const entered = enterWorkingDirectory(program, root, process);
  if (terminal !== undefined) attachTerminal(program, terminal.slave, process);
  chownStdio(program, process, options.stdio);
  const given = options.program ?? beginPasswd(program, root);
  options.attributes?.plan(program);
  const ruleset = options.landlock && makeRuleset(program, root, options.landlock);
  assumeCredentials(program, process, options.credentials, options.staysDumpable);
  const devNull = openContainerNull(program, root, options.stdio);
  setUmask(program, process);
  checks.push(verifyWorkingDirectory(program, process, entered));
  setNoNewPrivileges(program, process);
  const search =
    "path" in given ? given : { passwd: given, executable: new ExecutableSearch(program, process) };
  if (ruleset !== undefined && options.landlock !== undefined)
    enterDomain(program, ruleset, options.landlock);
  return { devNull, program: search };
}

/**
 * Awaits the replies to all that was sent, and sends the program that ends in the execve. That one waits first for a connection to
 * `startSocket`, or for a reader of `fifo`, where one is given. Returns this last program; the stub replies to it only if it fails.
 */
export function sendExec(
  session: Session,
  { devNull, program }: PlannedProcess,
  options: ProcessOptions,
  startSocket: number | undefined,
  fifo?: WaitFifo<number>,
): Program {
  const { channel } = session;
  const last = channel.program();
  const listener = startSocket === undefined ? undefined : last.descriptor(startSocket);
  const waitFifo = fifo && { writer: last.descriptor(fifo.writer), watch: last.descriptor(fifo.watch) };
  const reply = session.receiveAll();
  options.attributes?.apply(session.pid);
  // Not in the last program, which has no reply: the runtime could look for the listener before the process can be reached.
  if (options.start.seccomp?.listener?.dumpable === true && !options.staysDumpable) {
    const reaching = channel.program();
    becomeDumpable(reaching);
    runProgram(channel, reaching);
  }
  if (devNull?.isNull(reply) === true) replaceNulls(last, devNull, options.stdio);
  const found = "path" in program ? program : foundProgram(channel, program, options, reply);
  execProgram(last, options.process, { ...options.start, ...found, listener, fifo: waitFifo });
  channel.send(last);
  return last;
}

function foundProgram(
  channel: StubChannel,
  { passwd, executable }: ProgramSearch,
  { process, addedEnv }: ProcessOptions,
  reply: Reply,
): GivenProgram {
  const env = variables(process, addedEnv);
  const home = env.get("HOME");
  if (home === undefined || home === "HOME=") {
    const text = readPasswd(channel, passwd, reply);
    env.set("HOME", nulTerminatedBytes(`HOME=${homeOf(text, process.user?.uid ?? 0)}`));
  }
  // A config without a process has no program to look for; `start` refuses it before this could be executed.
  const path = process.args.length === 0 ? "" : executable.choose(reply);
  return { env: [...env.values()], path };
}

function beginPasswd(program: Program, root: Register): Passwd {
  const file = openPasswd(program, root);
  return { file, begin: readByteText(program, file, PASSWD_CHUNK) };
}

/** Images' files are smaller as a rule; a longer one is read on. */
const PASSWD_CHUNK = 4096;
/** A longer file is not a list of users, but /dev/zero or the like: the container's author must not fill the host's memory. */
const LONGEST_PASSWD = 4 * 1024 * 1024;

function readPasswd(channel: StubChannel, { file, begin }: Passwd, reply: Reply): string {
  let chunk = begin(reply);
  let text = chunk;
  while (chunk.length === PASSWD_CHUNK && text.length < LONGEST_PASSWD) {
    const program = channel.program();
    const read = readByteText(program, file, PASSWD_CHUNK);
    chunk = read(runProgram(channel, program));
    text += chunk;
  }
  return text;
}

/** Variables by their names: the last of several values counts. */
function variables(process: Process, added: readonly string[]): Map<string, string | Uint8Array> {
  const byName = new Map<string, string | Uint8Array>();
  for (const entry of [...(process.env ?? []), ...added])
    byName.set(entry.slice(0, entry.indexOf("=")), entry);
  return byName;
}
