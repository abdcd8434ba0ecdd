import { describe, expect, it } from "vitest";
import type { Operation } from "../../bindings/stub/program.ts";
import type { Config, Process } from "../spec/types.ts";
import { hasNamespace } from "./init-plan.ts";
import { makeDevices, openHostNull } from "./mounts/devices.ts";
import { maskPaths, protectReadonlyPaths } from "./mounts/masked-paths.ts";
import { finishMounts, makeMounts, openBindSources } from "./mounts/mounts.ts";
import { mountRequests } from "./mounts/requests.ts";
import {
  becomeRootOf,
  bringLoopbackUp,
  enterCgroupNamespace,
  joinSessionKeyring,
  resetCpuAffinity,
  setNames,
  unshareAsRoot,
} from "./namespaces.ts";
import { attachRootfs, enterRootfs, isolateMounts, makeRootReadonly, openRootfs } from "./pivot-root.ts";
import { testPlan } from "./plan.test-support.ts";
import {
  cpuAffinity,
  scheduleItself,
  schedulingCalls,
  setMemoryPolicy,
  setPersonality,
} from "./process/attributes.ts";
import { attachTerminal, bindConsole, openTerminal } from "./process/console.ts";
import { assumeCredentials, setNoNewPrivileges } from "./process/credentials.ts";
import { becomeDumpable, execProgram, setUmask } from "./process/exec.ts";
import { ExecutableSearch } from "./process/executable.ts";
import { setExecLabels } from "./process/labels.ts";
import { openPasswd, readByteText } from "./process/passwd.ts";
import { chownStdio, openContainerNull } from "./process/stdio.ts";
import {
  enterWorkingDirectory,
  makeWorkingDirectory,
  verifyWorkingDirectory,
} from "./process/working-directory.ts";
import { openHostProc, writeSysctls } from "./sysctl.ts";

const capabilities = ["CAP_KILL", "CAP_CHOWN"];

const process: Process = {
  terminal: true,
  consoleSize: { height: 24, width: 80 },
  cwd: "/work",
  env: ["PATH=/bin"],
  apparmorProfile: "runts-default",
  selinuxLabel: "u:r:t:s0",
  args: ["sh"],
  user: { uid: 1, gid: 2, umask: 0o22, additionalGids: [3] },
  capabilities: {
    bounding: capabilities,
    effective: capabilities,
    inheritable: capabilities,
    permitted: capabilities,
    ambient: capabilities,
  },
  rlimits: [
    { type: "RLIMIT_CORE", soft: 0n, hard: 0n },
    { type: "RLIMIT_CPU", soft: 1n, hard: 1n },
  ],
  noNewPrivileges: true,
  scheduler: { policy: "SCHED_IDLE" },
  ioPriority: { class: "IOPRIO_CLASS_BE", priority: 1 },
  execCPUAffinity: { initial: "0", final: "1" },
};

/** A config with all properties that the set-up reads. */
const everything: Config = {
  ociVersion: "1.3.0",
  root: { path: "rootfs", readonly: true },
  process,
  hostname: "host",
  domainname: "domain",
  mounts: [
    { destination: "/proc", type: "proc" },
    { destination: "/dev", type: "tmpfs", options: ["ro", "mode=755"] },
    { destination: "/dev/pts", type: "devpts", options: ["gid=5"] },
    { destination: "/tmp", type: "tmpfs", options: ["tmpcopyup", "rnoexec", "rshared"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", options: ["ro"] },
    { destination: "/data", source: "data", options: ["rbind", "ro", "slave"] },
    { destination: "/data", options: ["remount", "nosuid"] },
    { destination: "/sys", type: "sysfs", options: ["ro"] },
    { destination: "/queue", type: "mqueue", options: ["iversion"] },
  ],
  linux: {
    namespaces: [
      { type: "mount" },
      { type: "user" },
      { type: "ipc" },
      { type: "network" },
      { type: "uts" },
      { type: "cgroup" },
    ],
    uidMappings: [{ containerID: 0, hostID: 1, size: 1 }],
    devices: [
      { type: "c", path: "/dev/fuse", major: 10n, minor: 229n, uid: 0 },
      { type: "p", path: "/run/pipe" },
    ],
    sysctl: { "net.ipv4.ip_forward": "1", "net/x~y/z": "0" },
    maskedPaths: ["/proc/kcore", "/sys/firmware"],
    readonlyPaths: ["/proc/sys", "/proc/bus"],
    rootfsPropagation: "rshared",
    seccomp: { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/run/agent" },
    memoryPolicy: { mode: "MPOL_BIND", nodes: "0" },
    personality: { domain: "LINUX32" },
  },
};

/** Purposes without a pointer: every container needs them, whatever its config. */
const PURPOSES_WITHOUT_POINTER: readonly RegExp[] = [
  /^open the host's procfs$/,
  /^join a new session keyring$/,
  /^use all CPUs that the cgroup allows$/,
  /^open \/dev$/,
  /^make device \/dev\/(null|zero|full|random|urandom|tty)$/,
  /^make the symbolic links of \/dev$/,
  /^open \/dev\/null of the container as standard stream$/,
  /^close all descriptors of the set-up$/,
  /^keep others from tracing the process$/,
  /^wait for start$/,
  /^close all descriptors but the container's own at execve$/,
  /^set RLIMIT_NOFILE back to what the caller had$/,
];

/** All operations of a plan, in no particular order. */
function everyOperation(config: Config, noPivot: boolean): Operation[] {
  const { program, plan } = testPlan(config, {
    noPivot,
    facts: { hostPseudoMounts: () => ["/proc"], mountLabel: "u:r:t:s0" },
  });
  joinSessionKeyring(program, "_ses.test");
  const steps = [openHostProc, enterCgroupNamespace, resetCpuAffinity, isolateMounts, openRootfs];
  for (const step of steps) step(program, plan);
  const requests = mountRequests(plan);
  openBindSources(program, requests);
  const { fd } = openHostNull(program);
  if (hasNamespace(plan.namespaces, "user")) becomeRootOf(program, { uid: 0, gid: 0 }, { setsGroups: true });
  for (const step of [unshareAsRoot, bringLoopbackUp, attachRootfs]) step(program, plan);
  makeMounts(program, plan, requests, []);
  makeDevices(program, plan, requests);
  const { slave } = openTerminal(program, plan.root, plan.hostProc);
  bindConsole(program, plan, slave);
  for (const step of [writeSysctls, setNames, makeRootReadonly, protectReadonlyPaths]) step(program, plan);
  finishMounts(program, plan, requests);
  maskPaths(program, plan, fd);
  enterRootfs(program, plan);
  makeWorkingDirectory(program, plan.root, process);
  const entered = enterWorkingDirectory(program, plan.root, process);
  attachTerminal(program, slave, process);
  const stdio = { nulls: [0], chown: [1] };
  chownStdio(program, process, stdio);
  openContainerNull(program, plan.root, stdio);
  readByteText(program, openPasswd(program, plan.root), 64);
  setExecLabels(program, process, true);
  setMemoryPolicy(program, config.linux?.memoryPolicy ?? { mode: "MPOL_LOCAL" });
  setPersonality(program, config.linux?.personality ?? { domain: "LINUX" });
  scheduleItself(program, schedulingCalls(process));
  const affinity = cpuAffinity(process.execCPUAffinity ?? {});
  for (const step of [affinity.initial, affinity.final]) step?.(program);
  assumeCredentials(program, process, {
    lastCapability: 40,
    permitted: (1n << 41n) - 1n,
    keepSysAdmin: true,
    canSetGroups: true,
    keepsGroups: false,
    warn: () => {},
  });
  setUmask(program, process);
  verifyWorkingDirectory(program, process, entered);
  setNoNewPrivileges(program, process);
  new ExecutableSearch(program, process);
  becomeDumpable(program);
  execProgram(program, process, {
    listener: plan.root,
    path: "/bin/sh",
    env: [],
    keepFds: 0,
    gaps: [],
    inheritedNofile: { soft: 1n, hard: 1n },
    seccomp: { filter: new Uint8Array(8), flags: 0, listener: { dumpable: true } },
  });
  return program.operations;
}

/** Whether an RFC 6901 pointer leads to a value. */
function exists(pointer: string, document: unknown): boolean {
  let value = document;
  for (const token of pointer.split("/").slice(1)) {
    if (typeof value !== "object" || value === null) return false;
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (!Object.hasOwn(value, name)) return false;
    value = Object.entries(value).find(([key]) => key === name)?.[1];
  }
  return value !== undefined;
}

/** Purposes without a pointer that are not in the list, and pointers that lead nowhere. */
function unexplained(operations: readonly Operation[], config: Config): string[] {
  const wrong = operations.filter(({ pointer, purpose }) =>
    pointer === ""
      ? !PURPOSES_WITHOUT_POINTER.some((allowed) => allowed.test(purpose))
      : !exists(pointer, config),
  );
  return [...new Set(wrong.map(({ pointer, purpose }) => `${pointer}: ${purpose}`))];
}

describe("each operation has the pointer of the property that asked for it", () => {
  it.each([
    ["", everything, false],
    ["with --no-pivot", everything, true],
    [
      "without a user namespace",
      { ...everything, linux: { ...everything.linux, namespaces: [{ type: "mount" }] } } satisfies Config,
      false,
    ],
    [
      "without a mount namespace",
      { ...everything, linux: { ...everything.linux, namespaces: [{ type: "uts" }] } } satisfies Config,
      false,
    ],
  ])("%s", (_title, config, noPivot) => {
    const operations = everyOperation(config, noPivot);
    expect(operations.length).toBeGreaterThan(200);
    expect(unexplained(operations, config)).toEqual([]);
    expect(operations.filter(({ purpose }) => purpose === "")).toEqual([]);
  });

  it("finds operations without one", () => {
    const nowhere = { ...everyOperation(everything, false)[0], pointer: "/mounts/99", purpose: "nothing" };
    const operation = { call: "close", args: [], into: undefined, guard: undefined, tolerate: [] } as const;
    expect(unexplained([{ ...operation, path: undefined, ...nowhere, call: "close" }], everything)).toEqual([
      "/mounts/99: nothing",
    ]);
  });
});
