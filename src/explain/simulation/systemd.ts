import { existsSync, readFileSync } from "../../../bindings/linux/files.ts";
import { effectiveUid } from "../../../bindings/linux/own-process.ts";
import { type BusValue, substituteBus } from "../../../bindings/linux/sd-bus.ts";
import { SyscallError } from "../../../bindings/syscall-error.ts";
import { CGROUP_MOUNT, cgroupsFromRoot, readWords } from "../../cgroup/files.ts";
import { Manager, type ManagerKind } from "../../cgroup/systemd/manager.ts";
import { sliceDirectory } from "../../cgroup/systemd/unit-name.ts";
import { RuntsError } from "../../errors.ts";
import { outerId, parseIdMap } from "../../spec/id-map.ts";
import type { Recorder } from "../operation.ts";
import { type ServiceManager, SimulatedBus } from "./bus.ts";
import type { SimulatedKernel } from "./kernel.ts";

/** Controllers that systemd enables for a unit with Delegate=yes: systemd's CGROUP_DELEGATION.md, "Controller Support" */
const DELEGATED = new Set(["cpu", "cpuset", "io", "memory", "pids"]);

/**
 * Replaces systemd: requests take effect on the simulated kernel only. Unless `controlGroup` is given, a systemd that runs here is asked for
 * its own cgroup first, so this must be called while the real kernel is in place. Returns a function that ends the replacement.
 */
export function simulateSystemd(
  kind: ManagerKind,
  recorder: Recorder,
  kernel: SimulatedKernel,
  controlGroup = controlGroupOf(kind, recorder),
): () => void {
  const systemd = new SimulatedSystemd(kernel, kind, controlGroup);
  substituteBus((bus) => new SimulatedBus(bus, recorder, systemd));
  return () => substituteBus(undefined);
}

class SimulatedSystemd implements ServiceManager {
  readonly controlGroup: string;
  readonly #kernel: SimulatedKernel;
  /** Cgroups above the user's manager, where the system's one enables all controllers. */
  readonly #above: readonly string[];

  constructor(kernel: SimulatedKernel, kind: ManagerKind, controlGroup: string) {
    this.controlGroup = controlGroup;
    this.#kernel = kernel;
    this.#above = kind === "user" ? cgroupsFromRoot(`${CGROUP_MOUNT}${controlGroup}`).slice(0, -1) : [];
    // sd_booted(3)
    kernel.files.make("/run/systemd/system", "directory");
  }

  startUnit(unit: string, properties: ReadonlyMap<string, BusValue>): boolean {
    const own = this.controlGroup === "/" ? "" : this.controlGroup;
    const path = `${own}${sliceDirectory(String(properties.get("Slice")))}/${unit}`;
    const directory = `${CGROUP_MOUNT}${path}`;
    if (existsSync(directory)) return false;
    for (const cgroup of cgroupsFromRoot(directory).slice(0, -1)) this.#makeInner(cgroup);
    const { files, processes } = this.#kernel;
    files.make(directory, "directory");
    processes.cgroup = path;
    this.changeUnit(properties);
    return true;
  }

  /** For a device policy, systemd attaches its own device program. */
  changeUnit(properties: ReadonlyMap<string, BusValue>): void {
    const policy = properties.get("DevicePolicy");
    if (policy !== undefined) this.#kernel.devicePrograms = policy === "auto" ? 0 : 1;
  }

  /** Makes a slice, and enables controllers in it for the cgroups below. */
  #makeInner(cgroup: string): void {
    const { files } = this.#kernel;
    if (cgroup !== CGROUP_MOUNT && !existsSync(cgroup)) files.make(cgroup, "directory");
    const present = readWords(cgroup, "cgroup.subtree_control");
    const all = this.#above.includes(cgroup);
    const added = readWords(cgroup, "cgroup.controllers").filter((name) => all || DELEGATED.has(name));
    const enabled = new Set([...present, ...added]);
    if (enabled.size > present.length)
      files.make(`${cgroup}/cgroup.subtree_control`, "file", `${[...enabled].join(" ")}\n`);
  }
}

/** The manager's own cgroup, as it says; the usual one where it can't be asked. */
function controlGroupOf(kind: ManagerKind, { notes }: Recorder): string {
  try {
    return askControlGroup(kind) || "/";
  } catch (error) {
    if (!(error instanceof RuntsError || error instanceof SyscallError)) throw error;
    const assumed = kind === "user" ? usersControlGroup() : "/";
    notes.add(`${error.message}; a systemd is assumed whose own cgroup is ${assumed}`);
    return assumed;
  }
}

function askControlGroup(kind: ManagerKind): string {
  const manager = new Manager(kind);
  try {
    return manager.controlGroup();
  } finally {
    manager.close();
  }
}

/** The usual cgroup of a user's manager, by the user's id on the host. */
function usersControlGroup(): string {
  const own = effectiveUid();
  const uid = outerId(own, parseIdMap(readFileSync("/proc/self/uid_map", "latin1"))) ?? own;
  return `/user.slice/user-${uid}.slice/user@${uid}.service`;
}
