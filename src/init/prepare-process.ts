import { nulTerminatedBytes } from "../../bindings/abi/byte-text.ts";
import type { StubChannel } from "../../bindings/stub/client.ts";
import type { Program, Register, Reply } from "../../bindings/stub/program.ts";
import { attachTerminal, type TerminalPlan } from "../plan/process/console.ts";
import {
  assumeCredentials,
  type CredentialOptions,
  setNoNewPrivileges,
} from "../plan/process/credentials.ts";
import { becomeDumpable, type ExecProgramOptions, execProgram, setUmask } from "../plan/process/exec.ts";
import { ExecutableSearch } from "../plan/process/executable.ts";
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
import { receiveAll, type Session, send } from "./session.ts";

/** What a process in a container needs, its init and one of `exec` alike. */
export interface ProcessOptions {
  readonly process: Process;
  /** The program of a hook, which has just these variables; absent: the one that args[0] means, and HOME is added. */
  readonly program?: Pick<ExecProgramOptions, "path" | "env"> | undefined;
  readonly credentials: CredentialOptions;
  /**
   * Whether the runtime needs the process to be dumpable, as it does for hooks and exec in a container that waits: without
   * privileges it can't join the namespaces of another one (ptrace(2), access mode checking).
   */
  readonly staysDumpable: boolean;
  /** Variables that the runtime itself adds to the environment. */
  readonly addedEnv: readonly string[];
  readonly stdio: StdioFacts;
  /** What the kernel keeps of a single process and few ask for: by the process itself, and by the runtime for it. */
  readonly attributes:
    | { readonly plan: (program: Program) => void; readonly apply: (pid: number) => void }
    | undefined;
  readonly start: Pick<ExecProgramOptions, "keepFds" | "gaps" | "inheritedNofile" | "seccomp">;
}

/** /etc/passwd of the container, opened while the process could read it. */
interface Passwd {
  readonly file: Register;
  readonly begin: (reply: Reply) => string;
}

/**
 * Carries out what config.md asks of `process`, up to its execve: that waits for a connection to what `listen` makes where it is given.
 * Returns the program that ends in it; the stub replies to it only if it fails.
 */
export function prepareProcess(
  session: Session,
  root: Register,
  options: ProcessOptions,
  terminal: TerminalPlan | undefined,
  listen: (() => number) | undefined,
): Program {
  const { programOf, devNull } = planProcess(session, root, options, terminal);
  send(session);
  const { channel } = session;
  const last = channel.program();
  // While init does what it was sent.
  const listener = listen === undefined ? undefined : last.descriptor(listen());
  const reply = receiveAll(session);
  options.attributes?.apply(session.pid);
  // Not in the last program, which has no reply: the runtime could look for the listener before the process can be reached.
  if (options.start.seccomp?.listener?.dumpable === true && !options.staysDumpable) {
    const program = channel.program();
    becomeDumpable(program);
    runProgram(channel, program);
  }
  if (devNull?.isNull(reply) === true) replaceNulls(last, devNull, options.stdio);
  execProgram(last, options.process, {
    ...options.start,
    ...programOf(reply),
    listener,
  });
  channel.send(last);
  return last;
}

interface Prepared {
  /** Tells the program from the reply. */
  readonly programOf: (reply: Reply) => Pick<ExecProgramOptions, "path" | "env">;
  readonly devNull: ContainerNull | undefined;
}

/** All but what has to come right before execve. */
function planProcess(
  session: Session,
  root: Register,
  options: ProcessOptions,
  terminal: TerminalPlan | undefined,
): Prepared {
  const { program, checks, channel } = session;
  const { process } = options;
  const entered = enterWorkingDirectory(program, root, process);
  if (terminal !== undefined) attachTerminal(program, terminal.slave, process);
  chownStdio(program, process, options.stdio);
  const given = options.program ?? beginPasswd(program, root);
  options.attributes?.plan(program);
  assumeCredentials(program, process, options.credentials, options.staysDumpable);
  const devNull = openContainerNull(program, root, options.stdio);
  setUmask(program, process);
  checks.push(verifyWorkingDirectory(program, process, entered));
  setNoNewPrivileges(program, process);
  if ("path" in given) return { programOf: () => given, devNull };
  const executable = new ExecutableSearch(program, process);
  const programOf: Prepared["programOf"] = (reply) => ({
    env: environment(process, options.addedEnv, () => readPasswd(channel, given, reply)),
    path: process.args.length === 0 ? NOTHING : executable.choose(reply),
  });
  return { programOf, devNull };
}

function beginPasswd(program: Program, root: Register): Passwd {
  const file = openPasswd(program, root);
  return { file, begin: readByteText(program, file, PASSWD_CHUNK) };
}

/** A config without a process has no program to look for; `start` refuses it before this could be executed. */
const NOTHING = "";

/** Images' files are smaller as a rule; a longer one is read on. */
const PASSWD_CHUNK = 4096;
/** More is no list of users, but /dev/zero or the like: the container's author must not fill the host's memory. */
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

/** The last of several values counts. If HOME is missing or empty, it is that of the user in the container's /etc/passwd. */
function environment(
  process: Process,
  added: readonly string[],
  passwd: () => string,
): (string | Uint8Array)[] {
  const byName = new Map<string, string | Uint8Array>();
  for (const entry of [...(process.env ?? []), ...added])
    byName.set(entry.slice(0, entry.indexOf("=")), entry);
  const home = byName.get("HOME");
  if (home === undefined || home === "HOME=")
    byName.set("HOME", nulTerminatedBytes(`HOME=${homeOf(passwd(), process.user?.uid ?? 0)}`));
  return [...byName.values()];
}
