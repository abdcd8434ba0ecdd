import { existsSync } from "../../../bindings/linux/files.ts";
import { RuntsError } from "../../errors.ts";
import { annotationPointer, DELEGATE_CGROUP, SUBGROUP } from "../../spec/annotations.ts";
import type { Config, DeviceRule, LinuxResources } from "../../spec/types.ts";
import { frozenError, neededControllers } from "../create.ts";
import { CGROUP_MOUNT, cgroupName, tryReadCgroupFile } from "../files.ts";
import { isEffectivelyFrozen } from "../freeze.ts";
import type { CgroupWrite } from "../limits/cgroup-write.ts";
import { enableControllers } from "../limits/controllers.ts";
import { planResources } from "../limits/plan.ts";
import { cgroupPathOf, findCgroupMount } from "../path.ts";
import { killCgroup } from "../remove.ts";
import { enterSubCgroup } from "../sub-cgroup.ts";
import { annotatedProperties } from "./annotations.ts";
import { deviceProperties } from "./devices.ts";
import { Manager, type ManagerKind } from "./manager.ts";
import { oomProperties, resourceProperties, type UnitProperty } from "./properties.ts";
import { scopeNameFor, sliceDirectory } from "./unit-name.ts";

/** Identifies the scope of a container whose cgroup systemd has created; part of its saved state. */
export interface SavedScope {
  readonly unit: string;
  readonly manager: ManagerKind;
  /** Path of the cgroup below the scope that init was moved to; absent for none. */
  readonly subgroup?: string;
}

const POINTER = "/linux/cgroupsPath";

/** A container's cgroup as a systemd scope: CGROUP_DELEGATION.md of systemd, "Three Scenarios". */
export class ContainerScope {
  readonly saved: SavedScope;
  /** Where the cgroup will be. */
  readonly directory: string;
  /** The cgroup that init will be in: below the scope if an annotation says so, else the scope. */
  readonly ofInit: string;
  readonly #manager: Manager;
  readonly #properties: readonly UnitProperty[];
  readonly #resources: LinuxResources;
  #started = false;
  #closed = false;

  /** Checks what the config says of the scope, and asks systemd where it will be. Creates nothing. */
  constructor(config: Config, id: string, kind: ManagerKind) {
    const { slice, unit } = scopeNameFor(config, id, kind === "user");
    const resources = config.linux?.resources ?? {};
    this.#resources = resources;
    this.#properties = [
      { name: "Description", signature: "s", value: `runts container ${id}` },
      ...FIXED,
      // systemd takes the last of two values, so annotations, which may come from an engine's user, can't lift the config's limits.
      ...annotatedProperties(config.annotations ?? {}),
      { name: "Slice", signature: "s", value: slice, pointer: POINTER },
      // A user's systemd may not attach device programs.
      ...(kind === "user" ? [] : deviceProperties(resources.devices ?? [])),
      ...resourceProperties(planResources(resources)),
      ...oomProperties(resources),
    ];
    const { [SUBGROUP]: subgroup = "", [DELEGATE_CGROUP]: delegated = "" } = config.annotations ?? {};
    const below = [subgroup, delegated].filter((path) => path !== "").join("/");
    this.saved = { unit, manager: kind, ...(below !== "" && { subgroup: below }) };
    const mount = findCgroupMount();
    this.#manager = new Manager(kind);
    try {
      this.directory = `${mount}${this.#manager.controlGroup()}${sliceDirectory(slice)}/${unit}`;
      this.ofInit = subgroup === "" ? this.directory : `${this.directory}/${subgroup}`;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Creates the scope and lets systemd move init, which has to exist, into it: a scope can't be empty and ends with its last process.
   * No other process is in it, so the limits apply only to the container.
   */
  start(pid: number): void {
    const { unit } = this.saved;
    const processes = { name: "PIDs", signature: "au", value: [BigInt(pid)] };
    const job = this.#manager.startTransientUnit(unit, [...this.#properties, processes]);
    this.#started = true;
    job.finish();
    this.#adjustWeight();
    const path = cgroupPathOf(pid);
    const found = `${CGROUP_MOUNT}${path === "/" ? "" : path}`;
    if (found !== this.directory) {
      throw new RuntsError(
        `${POINTER}: systemd has put ${unit} into ${cgroupName(found)} instead of ${cgroupName(this.directory)}`,
        { pointer: POINTER, path: found },
      );
    }
    // systemd enables only controllers that it has properties for: not hugetlb and rdma.
    enableControllers(this.directory, neededControllers(this.#resources));
    if (isEffectivelyFrozen(this.directory)) throw frozenError(this.directory);
    if (this.ofInit !== this.directory) enterSubCgroup(this.ofInit, pid, annotationPointer(SUBGROUP));
  }

  /** systemd scales IOWeight differently for BFQ, and only the cgroup shows whether BFQ is used. */
  #adjustWeight(): void {
    const weights = planResources(this.#resources).filter(({ file }) => file === "io.bfq.weight");
    if (weights.length === 0 || !hasBfq(this.directory)) return;
    const properties = resourceProperties(weights, { hasBfq: true });
    this.#manager.setUnitProperties(this.saved.unit, properties);
  }

  /** Undoes `start`. */
  remove(): void {
    try {
      if (this.#started) stop(this.#manager, this.saved.unit);
    } finally {
      this.close();
    }
  }

  /** May be called again. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#manager.close();
  }
}

/**
 * Properties of every scope. Delegate: systemd leaves everything below the cgroup to the container. No DefaultDependencies: at shutdown
 * the engines end their containers, not systemd. The accounting makes the controllers available for `update`.
 */
const FIXED: readonly UnitProperty[] = [
  ["DefaultDependencies", false] as const,
  ...["Delegate", "CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting"].map(
    (name) => [name, true] as const,
  ),
].map(([name, value]) => ({ name, signature: "b", value }));

/** Changes limits and device rules of the unit. To be called before the cgroup's files are changed. */
export function updateScope(
  { unit, manager: kind }: SavedScope,
  directory: string,
  { writes, devices }: { readonly writes: readonly CgroupWrite[]; readonly devices?: readonly DeviceRule[] },
): void {
  const cpuMax = tryReadCgroupFile(directory, "cpu.max") ?? "";
  const properties = [
    ...(devices === undefined || kind === "user" ? [] : deviceProperties(devices)),
    ...resourceProperties(writes, { cpuMax, hasBfq: hasBfq(directory) }),
  ];
  if (properties.length === 0) return;
  withManager(kind, (manager) => manager.setUnitProperties(unit, properties));
}

function hasBfq(directory: string): boolean {
  return existsSync(`${directory}/io.bfq.weight`);
}

/** Kills the processes left in the scope and removes it. It may be gone already, as it ends with its last process. */
export function removeScope({ unit, manager: kind }: SavedScope, directory: string): void {
  killCgroup(directory);
  withManager(kind, (manager) => stop(manager, unit));
}

/** Has systemd move a process into the scope, or into the cgroup below it that init was moved to. */
export function attachToScope({ unit, manager: kind, subgroup = "" }: SavedScope, pid: number): void {
  withManager(kind, (manager) => manager.attachProcess(unit, `/${subgroup}`, pid));
}

function stop(manager: Manager, unit: string): void {
  manager.stopUnit(unit);
  manager.resetFailedUnit(unit);
}

function withManager(kind: ManagerKind, action: (manager: Manager) => void): void {
  const manager = new Manager(kind);
  try {
    action(manager);
  } finally {
    manager.close();
  }
}
