import type { StubChannel } from "../../bindings/stub/client.ts";
import type { Program, Register, Reply } from "../../bindings/stub/program.ts";
import { attachTerminal, bindConsole, openTerminal, type TerminalPlan } from "../plan/console.ts";
import { assumeCredentials, type CredentialOptions, setNoNewPrivileges } from "../plan/credentials.ts";
import { makeDevices, openHostNull, type ReplyCheck } from "../plan/devices.ts";
import {
  attachRootfs,
  enterRootfs,
  hasMountNamespace,
  isolateMounts,
  makeRootReadonly,
  openRootfs,
} from "../plan/enter-rootfs.ts";
import { ExecutableSearch } from "../plan/executable.ts";
import { maskPaths, protectReadonlyPaths } from "../plan/hidden-paths.ts";
import { type HostFacts, hasOwn, type InitPlan, type Namespaces } from "../plan/init-plan.ts";
import {
  bringLoopbackUp,
  enterCgroupNamespace,
  joinSessionKeyring,
  openHostProc,
  setNames,
  unshareAsRoot,
  useAllCpus,
  writeSysctls,
} from "../plan/kernel-settings.ts";
import {
  finishMounts,
  type MountRequest,
  makeMounts,
  mountRequests,
  openBindSources,
} from "../plan/mounts.ts";
import {
  enterWorkingDirectory,
  homeOf,
  openPasswd,
  prepareStdio,
  readText,
  type StartOptions,
  type StdioFacts,
  setUmask,
  startProgram,
  verifyWorkingDirectory,
} from "../plan/process-setup.ts";
import type { Config, Process } from "../spec/types.ts";
import { copyUp } from "./copy-up.ts";
import { receiveReply, runProgram } from "./run-program.ts";
import type { Init, PendingInit } from "./spawn-init.ts";

export interface SetUpOptions {
  readonly id: string;
  readonly config: Config;
  readonly process: Process;
  readonly namespaces: Namespaces;
  readonly facts: HostFacts;
  readonly noPivot: boolean;
  readonly noNewKeyring: boolean;
  readonly credentials: CredentialOptions;
  readonly umask: number;
  /** Variables that the runtime itself adds to the environment. */
  readonly addedEnv: readonly string[];
  readonly stdio: StdioFacts;
  /** Connected socket that gets the terminal's master; with process.terminal only. */
  readonly consoleSocket: number | undefined;
  /** Listening socket on which `start` will connect. */
  readonly listener: number;
  readonly start: Pick<StartOptions, "keepFds" | "inheritedNofile" | "seccomp">;
  /** Called once init is there, before anything is done in it. */
  readonly spawned: (init: Init) => void;
  /** Steps 3 and 4 of the lifecycle: hooks that run while the container is made. Absent if there are none. */
  readonly hooks: (() => void) | undefined;
}

/**
 * Drives init from its clone to where it waits for `start`: everything of the config but the program itself. The order is
 * that of the lifecycle in runtime.md, and within it what the kernel and the trust in paths demand. Returns the last program,
 * which init runs on its own when `start` connects.
 */
export function setUpInit(pending: PendingInit, options: SetUpOptions): Program {
  const { channel } = pending;
  const session: Session = { channel, program: channel.program(), checks: [], sent: [] };
  let ready = false;
  session.beforeFirst = () => {
    if (!ready) options.spawned(pending.finish());
    ready = true;
  };
  const plan = initPlan(session, options);
  const made = prepareEnvironment(session, plan, options);
  send(session);
  if (options.hooks !== undefined) {
    receiveAll(session);
    options.hooks();
  }
  finishEnvironment(session.program, plan, made);
  const prepared = prepareProcess(session, plan, options, made.terminal);
  send(session);
  const last = channel.program();
  const reply = receiveAll(session);
  startProgram(last, options.process, {
    ...options.start,
    env: environment(options.process, options.addedEnv, () => readPasswd(channel, prepared, reply)),
    path: prepared.executable.choose(reply),
    listener: last.descriptor(options.listener),
  });
  channel.send(last);
  return last;
}

/**
 * Programs for init, in the making and on their way. A program is sent as soon as it is complete, and runs while the next one is
 * made; the stub runs none after one that has failed.
 */
interface Session {
  readonly channel: StubChannel;
  program: Program;
  /** What to check of the reply to the program in the making. */
  checks: ReplyCheck[];
  readonly sent: { readonly program: Program; readonly checks: readonly ReplyCheck[] }[];
  /** Makes sure that init is there. */
  beforeFirst?: () => void;
}

function send(session: Session): void {
  session.beforeFirst?.();
  session.channel.send(session.program);
  session.sent.push({ program: session.program, checks: session.checks });
  session.program = session.channel.program();
  session.checks = [];
}

/** Receives the replies to all programs that were sent; returns the last one. */
function receiveAll({ channel, sent }: Session): Reply {
  let reply: Reply = { results: [], outputs: [], failure: undefined };
  for (const { program, checks } of sent.splice(0)) {
    reply = receiveReply(channel, program);
    for (const check of checks) check(reply);
  }
  return reply;
}

function initPlan(session: Session, options: SetUpOptions): InitPlan {
  const { registers } = session.channel;
  return {
    ...options,
    root: registers.take(),
    rootfs: registers.take(),
    hostProc: registers.take(),
    copyUp: (program, covered, mount) => {
      // What stands in the program so far has to be done first; it goes on with what comes after the copying.
      session.beforeFirst?.();
      const reply = runProgram(session.channel, program);
      for (const check of session.checks) check(reply);
      session.checks.length = 0;
      program.clear();
      copyUp(session.channel, covered, mount);
    },
  };
}

/** What the later steps need of what the first ones have made. */
interface Environment {
  readonly requests: readonly MountRequest[];
  readonly hostNull: Register | undefined;
  readonly terminal: TerminalPlan | undefined;
}

/** Step 2 of the lifecycle, up to where hooks may run: namespaces, mounts and devices; the host is still in reach. */
function prepareEnvironment(session: Session, plan: InitPlan, options: SetUpOptions): Environment {
  const { program, checks } = session;
  openHostProc(program, plan);
  enterCgroupNamespace(program, plan);
  joinSessionKeyring(program, plan);
  useAllCpus(program);
  program.about("", "clear the umask for the set-up");
  program.do("umask", [0]);
  isolateMounts(program, plan);
  openRootfs(program, plan);
  const requests = mountRequests(plan);
  openBindSources(program, requests);
  const hostNull = openNullForMasks(session, plan);
  becomeRoot(program, plan, options.credentials.canSetGroups);
  unshareAsRoot(program, plan);
  bringLoopbackUp(program, plan);
  attachRootfs(program, plan);
  makeMounts(program, plan, requests);
  if (hasMountNamespace(plan)) checks.push(...makeDevices(program, plan, requests));
  const { consoleSocket } = options;
  if (consoleSocket === undefined) return { requests, hostNull, terminal: undefined };
  const terminal = openTerminal(program, plan.root, program.descriptor(consoleSocket));
  checks.push(terminal.check);
  if (hasMountNamespace(plan)) bindConsole(program, plan.root, terminal.slave);
  return { requests, hostNull, terminal };
}

function openNullForMasks({ program, checks }: Session, plan: InitPlan): Register | undefined {
  if ((plan.config.linux?.maskedPaths ?? []).length === 0) return undefined;
  const { fd, check } = openHostNull(program);
  checks.push(check);
  return fd;
}

/**
 * The caller's user id may mean nobody in the container's user namespace: what is made in the rootfs from here on belongs to
 * the namespace's root. Host paths were opened before, with the caller's rights.
 */
function becomeRoot(program: Program, plan: InitPlan, canSetGroups: boolean): void {
  if (!hasOwn(plan.namespaces, "user")) return;
  program.about("/linux/uidMappings", "become root in the user namespace");
  if (canSetGroups) program.do("setgroups", [0, 0]);
  program.do("setresgid", [0, 0, 0]);
  program.do("setresuid", [0, 0, 0]);
}

/** The rest of step 2: what hides or names things, and the change of the root directory. */
function finishEnvironment(program: Program, plan: InitPlan, { requests, hostNull }: Environment): void {
  writeSysctls(program, plan);
  setNames(program, plan);
  finishMounts(program, plan, requests);
  makeRootReadonly(program, plan);
  protectReadonlyPaths(program, plan);
  if (hostNull !== undefined) maskPaths(program, plan, hostNull);
  enterRootfs(program, plan);
}

interface PreparedProcess {
  readonly executable: ExecutableSearch;
  readonly passwd: Register;
  readonly beginOfPasswd: (reply: Reply) => string;
}

/** What config.md asks of `process`, but for what has to come right before execve. */
function prepareProcess(
  session: Session,
  plan: InitPlan,
  options: SetUpOptions,
  terminal: TerminalPlan | undefined,
): PreparedProcess {
  const { program, checks } = session;
  const { process } = options;
  const entered = enterWorkingDirectory(program, plan.root, process);
  if (terminal !== undefined) attachTerminal(program, terminal.slave, process);
  prepareStdio(program, plan.root, process, options.stdio);
  const passwd = openPasswd(program, plan.root);
  const beginOfPasswd = readText(program, passwd, PASSWD_CHUNK);
  assumeCredentials(program, process, options.credentials);
  setUmask(program, process, options.umask);
  checks.push(verifyWorkingDirectory(program, process, entered));
  setNoNewPrivileges(program, process);
  return { executable: new ExecutableSearch(program, process), passwd, beginOfPasswd };
}

/** Images' files are smaller as a rule; a longer one is read on. */
const PASSWD_CHUNK = 4096;

function readPasswd(channel: StubChannel, { passwd, beginOfPasswd }: PreparedProcess, reply: Reply): string {
  let chunk = beginOfPasswd(reply);
  let text = chunk;
  while (chunk.length === PASSWD_CHUNK) {
    const program = channel.program();
    const read = readText(program, passwd, PASSWD_CHUNK);
    chunk = read(runProgram(channel, program));
    text += chunk;
  }
  return text;
}

function needsHome({ env }: Process): boolean {
  return !(env ?? []).some((entry) => entry.startsWith("HOME=") && entry.length > "HOME=".length);
}

/** The last of several values counts; HOME is that of the user in the container's /etc/passwd where none is given. */
function environment(process: Process, added: readonly string[], passwd: () => string): string[] {
  const byName = new Map<string, string>();
  for (const entry of [...(process.env ?? []), ...added])
    byName.set(entry.slice(0, entry.indexOf("=")), entry);
  if (needsHome(process)) byName.set("HOME", `HOME=${homeOf(passwd(), process.user?.uid ?? 0)}`);
  return [...byName.values()];
}
