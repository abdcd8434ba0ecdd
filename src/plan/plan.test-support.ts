import { isData, type Operation, Program, pathOf, RegisterAllocator } from "../../bindings/stub/program.ts";
import type { Config, Mount } from "../spec/types.ts";
import { type HostFacts, type InitPlan, namespacesOf } from "./init-plan.ts";
import { finishMounts, makeMounts, openBindSources } from "./mounts/mounts.ts";
import { mountRequests } from "./mounts/requests.ts";

export interface TestPlan {
  readonly program: Program;
  readonly plan: InitPlan;
  readonly warnings: readonly string[];
}

export interface TestPlanOptions {
  readonly facts?: Partial<HostFacts>;
  readonly noPivot?: boolean;
  readonly isLive?: boolean;
  readonly keyring?: string;
  readonly runSoFar?: InitPlan["runSoFar"];
  readonly copyUp?: InitPlan["copyUp"];
}

export const minimalConfig: Config = {
  ociVersion: "1.3.0",
  root: { path: "rootfs" },
  process: { cwd: "/", args: ["sh"] },
};

/** An empty program, and a plan for an ordinary host. */
export function testPlan(config: Partial<Config>, options: TestPlanOptions = {}): TestPlan {
  const registers = new RegisterAllocator();
  const warnings: string[] = [];
  const whole: Config = { ...minimalConfig, ...config };
  const plan: InitPlan = {
    config: whole,
    facts: {
      rootfs: "/bundle/rootfs",
      bundle: "/bundle",
      isDirectory: () => true,
      linkTarget: () => undefined,
      isProcfs: () => false,
      followDanglingLinks: (destination) => destination,
      followOnHost: (source) => source,
      inUserNamespace: false,
      hasKcore: false,
      hostPseudoMounts: () => [],
      rootfsMountPoint: () => "/",
      warn: (message) => warnings.push(message),
      cgroup: "/sys/fs/cgroup/test",
      cgroupHierarchy: () => "/sys/fs/cgroup",
      mountLabel: "",
      ...options.facts,
    },
    namespaces: namespacesOf(whole),
    noPivot: options.noPivot ?? false,
    keyring: options.keyring,
    root: registers.take(),
    rootfs: registers.take(),
    hostProc: registers.take(),
    made: [],
    isLive: options.isLive ?? false,
    runSoFar: options.runSoFar ?? (() => ({ results: [], outputs: [], failure: undefined })),
    copyUp: options.copyUp ?? (() => {}),
  };
  return { program: new Program(registers), plan, warnings };
}

/** All operations of the config's mounts, in the order of the set-up. */
export function plannedMounts(
  mounts: readonly Mount[],
  options: TestPlanOptions = {},
  namespaces: "cgroup"[] = [],
) {
  const { program, plan, warnings } = testPlan(
    { mounts, linux: { namespaces: namespaces.map((type) => ({ type })) } },
    options,
  );
  const requests = mountRequests(plan);
  openBindSources(program, requests);
  makeMounts(program, plan, requests, []);
  const beforeEnd = program.operations.length;
  finishMounts(program, plan, requests);
  return { program, warnings, requests, finishing: program.operations.slice(beforeEnd) };
}

/** A readable list of operations: `mkdirat a/b ?failed` is a call, its path and its guard. */
export function summary(operations: readonly Operation[]): string[] {
  return operations.map((operation) => {
    const path = pathOf(operation);
    const guard = operation.guard === undefined ? "" : ` ?${operation.guard.is}`;
    return `${operation.call}${path === "" ? "" : ` ${path}`}${guard}`;
  });
}

/** The operations of one system call. */
export function only(program: Program, call: Operation["call"]): Operation[] {
  return program.operations.filter((operation) => operation.call === call);
}

/** The bytes that an argument points to. */
export function bytesOf(operation: Operation | undefined, argument: number): Uint8Array {
  const value = operation?.args[argument];
  if (isData(value)) return value.bytes.subarray(value.offset);
  throw new Error(`argument ${argument} of ${operation?.call} is not data`);
}

/** `struct open_how`, which is the third argument of openat2. */
export function howOf(operation: Operation | undefined): { flags: number; resolve: number } {
  const bytes = bytesOf(operation, 2);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return { flags: Number(view.getBigUint64(0, true)), resolve: Number(view.getBigUint64(16, true)) };
}

/** `struct mount_attr` of mount_setattr, and its flags. */
export function attributesOf(operation: Operation | undefined) {
  const bytes = bytesOf(operation, 3);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [set, clear, propagation] = [0, 8, 16].map((at) => Number(view.getBigUint64(at, true)));
  return { set, clear, propagation, flags: operation?.args[2] };
}

/** A `struct statx` of a reply. */
export function statx(mode: number, major = 0, minor = 0): Uint8Array {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x7ff, true);
  view.setUint16(28, mode, true);
  view.setUint32(128, major, true);
  view.setUint32(132, minor, true);
  return bytes;
}
