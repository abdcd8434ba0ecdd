import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import { openSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import type { Program, Register } from "../../bindings/stub/program.ts";
import { hasNamespace, type InitPlan } from "../plan/init-plan.ts";
import { makeDevices, openHostNull } from "../plan/mounts/devices.ts";
import { verifyMountPoints } from "../plan/mounts/made-mounts.ts";
import { maskPaths, protectReadonlyPaths } from "../plan/mounts/masked-paths.ts";
import { finishMounts, makeMounts, openBindSources } from "../plan/mounts/mounts.ts";
import type { MountRequest } from "../plan/mounts/requests.ts";
import {
  becomeRootOf,
  bringLoopbackUp,
  enterCgroupNamespace,
  joinSessionKeyring,
  resetCpuAffinity,
  rootIds,
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
import { type CredentialOptions, setsGroups } from "../plan/process/credentials.ts";
import { labelFile } from "../plan/process/labels.ts";
import { makeWorkingDirectory } from "../plan/process/working-directory.ts";
import { openHostProc, writeSysctls } from "../plan/sysctl.ts";
import type { Process } from "../spec/types.ts";
import { openCallersSources, sourcesDeniedToInit } from "./caller-sources.ts";
import { copyUp } from "./copy-up.ts";
import { prepareDeviceNodes } from "./device-nodes.ts";
import type { HandOver } from "./hand-over.ts";
import { prepareIdMappedMounts } from "./id-mapped-mounts.ts";
import type { Session } from "./session.ts";

/**
 * The plan of the container's environment, step 2 of the lifecycle in runtime.md, in the order in which `create` calls these functions.
 * Each adds operations to the program of the session. Within the lifecycle the order is what the kernel and the trust in paths demand.
 */

/** Begins a plan. Its two functions that run the program so far need init: see `needsInit`. */
export function beginPlan(
  session: Session,
  given: Pick<InitPlan, "config" | "facts" | "namespaces" | "noPivot" | "keyring">,
): InitPlan {
  const { channel } = session;
  const { registers } = channel;
  return {
    ...given,
    root: registers.take(),
    rootfs: registers.take(),
    hostProc: registers.take(),
    made: [],
    isLive: false,
    runSoFar: () => session.runSoFar(),
    copyUp: (_program, covered, mount, pointer) => {
      session.runSoFar();
      copyUp(channel, covered, mount, pointer);
    },
  };
}

/** Plans what comes before all mounts. Descriptors that go with the program are added to `opened`. */
export function planNamespaces({ program }: Session, plan: InitPlan, opened: OwnedDescriptor[]): void {
  openProc(program, plan, opened);
  enterCgroupNamespace(program, plan);
  joinSessionKeyring(program, plan.keyring);
  resetCpuAffinity(program);
  program.about("", "clear the umask for the set-up");
  program.do("umask", [0]);
  isolateMounts(program, plan);
  openRootfs(program, plan);
}

/** Mounts and devices that the runtime opens or makes itself, since init may not, or can't reach them. */
export interface RuntimeSources {
  readonly hasIdMappedMounts: boolean;
  readonly makesDeviceNodes: boolean;
  /** Bind mounts whose sources only the caller reaches. */
  readonly denied: readonly MountRequest[];
}

export function runtimeSources(
  requests: readonly MountRequest[],
  features: Omit<RuntimeSources, "denied"> & { readonly opensCallersSources: boolean },
): RuntimeSources {
  const { hasIdMappedMounts, makesDeviceNodes, opensCallersSources } = features;
  const denied = opensCallersSources ? sourcesDeniedToInit(requests) : [];
  return { hasIdMappedMounts, makesDeviceNodes, denied };
}

/**
 * Whether init has to be there while its mounts are planned: for the sources that the runtime opens, for the copies of option tmpcopyup, and
 * for a source in an earlier mount, of which only init can tell whether it is a directory.
 */
export function needsInit(
  requests: readonly MountRequest[],
  { hasIdMappedMounts, denied, makesDeviceNodes }: RuntimeSources,
): boolean {
  if (hasIdMappedMounts || denied.length > 0 || makesDeviceNodes) return true;
  return requests.some(({ options, inner }) => options.tmpcopyup || inner !== undefined);
}

/**
 * Opens and makes these sources, and hands their descriptors to init, which has been awaited. The descriptors are added to `opened`, to be closed
 * when the program has been sent. Returns the mounts of device nodes by the pointers of the devices.
 */
export function handOverSources(
  { program, pid }: Session,
  plan: InitPlan,
  requests: readonly MountRequest[],
  sources: RuntimeSources,
  opened: OwnedDescriptor[],
): ReadonlyMap<string, Register> | undefined {
  const to: HandOver = { pid, opened };
  if (sources.hasIdMappedMounts) prepareIdMappedMounts(program, plan, requests, to);
  openCallersSources(program, plan, sources.denied, to);
  return sources.makesDeviceNodes ? prepareDeviceNodes(program, plan, requests, to) : undefined;
}

/** The mounts and devices that are planned, and what later steps need of them. */
export interface PlannedMounts {
  readonly requests: readonly MountRequest[];
  readonly hostNull: Register | undefined;
  readonly terminal: TerminalPlan | undefined;
}

/**
 * Plans mounts, devices and the terminal, up to where hooks may run: the host is still in reach. `consoleSocket` is a connected socket,
 * which gets the terminal's master; undefined without a terminal.
 */
export function planMounts(
  session: Session,
  plan: InitPlan,
  requests: readonly MountRequest[],
  options: {
    readonly credentials: CredentialOptions;
    readonly staysDumpable: boolean;
    readonly deviceNodes: ReadonlyMap<string, Register> | undefined;
    readonly consoleSocket: number | undefined;
  },
): PlannedMounts {
  const { program, checks } = session;
  openBindSources(program, requests);
  const hostNull = openNullForMasks(session, plan);
  if (hasNamespace(plan.namespaces, "user")) {
    becomeRootOf(program, rootIds(plan.config.linux ?? {}), {
      setsGroups: setsGroups(options.credentials),
      staysDumpable: options.staysDumpable && plan.namespaces.created.has("user"),
    });
  }
  unshareAsRoot(program, plan);
  bringLoopbackUp(program, plan);
  attachRootfs(program, plan);
  makeMounts(program, plan, requests, checks);
  if (hasRootMount(plan)) checks.push(...makeDevices(program, plan, requests, options.deviceNodes));
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

/** Plans what comes after the hooks: what hides or names things, and the change of the root directory. */
export function planRootChange(
  { program, checks }: Session,
  plan: InitPlan,
  { requests, hostNull }: PlannedMounts,
  process: Process,
): void {
  makeWorkingDirectory(program, plan.root, process);
  writeSysctls(program, plan);
  setNames(program, plan);
  finishMounts(program, plan, requests);
  makeRootReadonly(program, plan);
  protectReadonlyPaths(program, plan);
  if (hostNull !== undefined) maskPaths(program, plan, hostNull);
  checks.push(...verifyMountPoints(program, plan));
  enterRootfs(program, plan);
}
