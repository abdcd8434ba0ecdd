import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import { openSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import { type HostFacts, hasNamespace, type InitPlan, type Namespaces } from "../plan/init-plan.ts";
import { makeDevices, openHostNull } from "../plan/mounts/devices.ts";
import { verifyMountPoints } from "../plan/mounts/made-mounts.ts";
import { maskPaths, protectReadonlyPaths } from "../plan/mounts/masked-paths.ts";
import { finishMounts, makeMounts, openBindSources } from "../plan/mounts/mounts.ts";
import { type MountRequest, mountRequests } from "../plan/mounts/requests.ts";
import {
  becomeRootOf,
  bringLoopbackUp,
  enterCgroupNamespace,
  joinSessionKeyring,
  resetCpuAffinity,
  setNames,
  unshareAsRoot,
} from "../plan/namespaces.ts";
import {
  attachRootfs,
  enterRootfs,
  hasRootMount,
  isolateMounts,
  makeRootReadonly,
  openRootfs,
} from "../plan/pivot-root.ts";
import { bindConsole, openTerminal, type TerminalPlan } from "../plan/process/console.ts";
import { setsGroups } from "../plan/process/credentials.ts";
import { labelFile } from "../plan/process/labels.ts";
import { makeWorkingDirectory } from "../plan/process/working-directory.ts";
import { openHostProc, writeSysctls } from "../plan/sysctl.ts";
import type { Config } from "../spec/types.ts";
import type { openCallersSources } from "./callers-sources.ts";
import { copyUp } from "./copy-up.ts";
import type { prepareDeviceNodes } from "./device-nodes.ts";
import type { prepareIdMappedMounts } from "./id-mapped-mounts.ts";
import { type ProcessOptions, prepareProcess } from "./prepare-process.ts";
import { runProgram } from "./run-program.ts";
import { receiveAll, type Session, send } from "./session.ts";
import type { Init, PendingInit } from "./spawn-init.ts";

export interface SetUpOptions extends ProcessOptions {
  readonly config: Config;
  readonly namespaces: Namespaces;
  readonly facts: HostFacts;
  readonly noPivot: boolean;
  /** Name of the container's session keyring; absent if it keeps the caller's. */
  readonly keyring: string | undefined;
  /** Connected socket that gets the terminal's master; with process.terminal only. */
  readonly consoleSocket: number | undefined;
  /** Makes the socket on which `start` will connect, once init is in its namespaces. */
  readonly listen: () => number;
  /** Called once init is there, before anything is done in it. */
  readonly spawned: (init: Init) => void;
  /** Brings what comes from the host into the container's network namespace, once init is in it. Absent if there is nothing. */
  readonly moveNetDevices: (() => void) | undefined;
  /** Steps 3 and 4 of the lifecycle: hooks that run while the container is made. Absent if there are none. */
  readonly hooks: (() => void) | undefined;
  /** Makes ready what mounts with id mappings need. Absent if there are none. */
  readonly idMappedMounts: typeof prepareIdMappedMounts | undefined;
  /** Opens sources of bind mounts that init may not reach. Absent if init reaches all that the caller does. */
  readonly callersSources: typeof openCallersSources | undefined;
  /** Makes the listed devices, which init may not make. Absent if there are none, or the runtime may not make them either. */
  readonly deviceNodes: typeof prepareDeviceNodes | undefined;
}

/**
 * Drives init from its clone to where it waits for `start`: everything of the config but the program itself. The order is
 * that of the lifecycle in runtime.md, and within it what the kernel and the trust in paths demand. Returns the last program,
 * which init runs on its own when `start` connects.
 */
export function setUpInit(pending: PendingInit, options: SetUpOptions): Program {
  const { channel } = pending;
  const session: Session = { channel, pid: 0, program: channel.program(), checks: [], sent: [] };
  session.beforeFirst = () => {
    session.beforeFirst = undefined;
    const init = pending.finish();
    session.pid = init.pid;
    options.spawned(init);
  };
  const containerPid = () => {
    session.beforeFirst?.();
    return session.pid;
  };
  const plan = initPlan(session, options);
  const opened: OwnedDescriptor[] = [];
  let made: Environment;
  try {
    made = prepareEnvironment(session, plan, options, containerPid, opened);
    send(session);
  } finally {
    for (const descriptor of opened) descriptor.close();
  }
  const { moveNetDevices, hooks } = options;
  if (moveNetDevices !== undefined || hooks !== undefined) receiveAll(session);
  moveNetDevices?.();
  hooks?.();
  makeWorkingDirectory(session.program, plan.root, options.process);
  finishEnvironment(session, plan, made);
  return prepareProcess(session, plan.root, options, made.terminal, options.listen);
}

function initPlan(session: Session, options: SetUpOptions): InitPlan {
  const { registers } = session.channel;
  const runSoFar = (program: Program) => {
    session.beforeFirst?.();
    const reply = runProgram(session.channel, program);
    for (const check of session.checks) check(reply);
    session.checks.length = 0;
    program.clear();
    return reply;
  };
  return {
    ...options,
    root: registers.take(),
    rootfs: registers.take(),
    hostProc: registers.take(),
    made: [],
    isLive: false,
    runSoFar,
    copyUp: (program, covered, mount, pointer) => {
      runSoFar(program);
      copyUp(session.channel, covered, mount, pointer);
    },
  };
}

/** What the later steps need of what the first ones have made. */
interface Environment {
  readonly requests: readonly MountRequest[];
  readonly hostNull: Register | undefined;
  readonly terminal: TerminalPlan | undefined;
}

/**
 * Step 2 of the lifecycle, up to where hooks may run: namespaces, mounts and devices; the host is still in reach. What goes with the
 * program is added to `opened`.
 */
function prepareEnvironment(
  session: Session,
  plan: InitPlan,
  options: SetUpOptions,
  containerPid: () => number,
  opened: OwnedDescriptor[],
): Environment {
  const { program, checks } = session;
  openProc(program, plan, opened);
  enterCgroupNamespace(program, plan);
  joinSessionKeyring(program, plan.keyring);
  resetCpuAffinity(program);
  program.about("", "clear the umask for the set-up");
  program.do("umask", [0]);
  isolateMounts(program, plan);
  openRootfs(program, plan);
  const requests = mountRequests(plan);
  options.idMappedMounts?.(program, plan, requests, { containerPid, opened });
  options.callersSources?.(program, plan, requests, { containerPid, opened });
  const nodes = options.deviceNodes?.(program, plan, requests, { containerPid, opened });
  openBindSources(program, requests);
  const hostNull = openNullForMasks(session, plan);
  if (hasNamespace(plan.namespaces, "user")) {
    const staysDumpable = options.staysDumpable && plan.namespaces.created.has("user");
    becomeRootOf(program, setsGroups(options.credentials), staysDumpable);
  }
  unshareAsRoot(program, plan);
  bringLoopbackUp(program, plan);
  attachRootfs(program, plan);
  makeMounts(program, plan, requests, checks);
  if (hasRootMount(plan)) checks.push(...makeDevices(program, plan, requests, nodes));
  const { consoleSocket } = options;
  if (consoleSocket === undefined) return { requests, hostNull, terminal: undefined };
  const terminal = openTerminal(program, plan.root, program.descriptor(consoleSocket));
  checks.push(terminal.check);
  if (hasRootMount(plan)) bindConsole(program, plan, terminal.slave);
  labelTerminal(program, plan, terminal.slave);
  return { requests, hostNull, terminal };
}

function labelTerminal(program: Program, { facts }: InitPlan, slave: Register): void {
  if (facts.mountLabel === "") return;
  program.about("/linux/mountLabel", "label the terminal");
  // A file system that was mounted with a context has given it one, and lets nobody change it.
  labelFile(program, slave, facts.mountLabel, ["EOPNOTSUPP"]);
}

/** A mount namespace that is joined belongs to somebody else, who may have anything at /proc (CVE-2019-16884): it gets the runtime's. */
function openProc(program: Program, plan: InitPlan, opened: OwnedDescriptor[]): void {
  if (!plan.namespaces.joined.has("mount")) {
    openHostProc(program, plan);
    return;
  }
  const own = new OwnedDescriptor(openSync("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  opened.push(own);
  const procfs = program.descriptor(own.number);
  program.about("", "take the host's procfs");
  program.call("copy", [procfs], { into: plan.hostProc });
}

function openNullForMasks({ program, checks }: Session, plan: InitPlan): Register | undefined {
  if ((plan.config.linux?.maskedPaths ?? []).length === 0) return undefined;
  const { fd, check } = openHostNull(program);
  checks.push(check);
  return fd;
}

/** The rest of step 2: what hides or names things, and the change of the root directory. */
function finishEnvironment(
  { program, checks }: Session,
  plan: InitPlan,
  { requests, hostNull }: Environment,
): void {
  writeSysctls(program, plan);
  setNames(program, plan);
  finishMounts(program, plan, requests);
  makeRootReadonly(program, plan);
  protectReadonlyPaths(program, plan);
  if (hostNull !== undefined) maskPaths(program, plan, hostNull);
  checks.push(...verifyMountPoints(program, plan));
  enterRootfs(program, plan);
}
