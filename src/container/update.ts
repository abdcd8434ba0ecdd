import { oneLine } from "../../bindings/abi/printable.ts";
import { readFileSync } from "../../bindings/linux/files.ts";
import { applyDeviceRules } from "../cgroup/devices/rules.ts";
import type { CgroupWrite } from "../cgroup/limits/cgroup-write.ts";
import { ResourceUpdate } from "../cgroup/limits/update.ts";
import { updateScope } from "../cgroup/systemd/scope.ts";
import { RuntsError, reworded } from "../errors.ts";
import { updateSchemata } from "../resctrl/group.ts";
import { findResctrl } from "../resctrl/mount.ts";
import { type SchemaWrite, schemaWrites } from "../resctrl/schemata.ts";
import { parseResources, readValidConfig, resourceIssues } from "../spec/config.ts";
import type { DeviceRule, IntelRdt, LinuxResources } from "../spec/types.ts";
import { inspectCaller, isRootless } from "./caller/caller.ts";
import type { GlobalOptions } from "./context.ts";
import { mergeResources, resourcesToApply, rulesWithAdded } from "./merge-resources.ts";
import { type LockedContainer, withLockedContainer } from "./record/lock.ts";
import { containerDirectory, replaceConfig, tryReadState } from "./record/saved-state.ts";

/** The new values: JSON, with pointers from `linux.resources` on, or options of the command line. */
export type ResourceChange =
  /** `-` is standard input. */
  | { readonly file: string }
  | { readonly text: Uint8Array }
  | {
      readonly resources: LinuxResources;
      /** New values of `linux.intelRdt`. */
      readonly intelRdt?: IntelRdt;
      /** Option that stands for a pointer, for errors. */
      optionOf(pointer: string): string;
    };

/** A change that has been read, before it is compared with the container's resources. */
interface PendingChange {
  /** Checks the change against the resources that the container has. */
  checked(saved: LinuxResources): LinuxResources;
  /** How errors name a pointer. */
  nameOf(pointer: string): string;
}

/**
 * Changes the limits of a container that has not stopped, and its config for later commands: all that is asked for, or, where
 * something is refused, nothing.
 */
export function updateContainer(context: GlobalOptions, id: string, change: ResourceChange): void {
  const intelRdt = "resources" in change ? change.intelRdt : undefined;
  const changeRdt = intelRdt === undefined ? undefined : rdtChange(intelRdt);
  const changeScope = scopeChange(context, id);
  // Before the lock is taken: standard input may keep us waiting.
  const pending = "resources" in change ? pendingOptions(change) : pendingJson(change);
  withLockedContainer(context, id, (container) => {
    const { directory, saved, status } = container;
    if (status === "stopped" || status === "creating") {
      throw new RuntsError("container not running", { operation: "update", path: id });
    }
    if (saved.cgroup === "") {
      throw new RuntsError(`container ${id} has no cgroup: without one its limits can't be changed`, {
        operation: "update",
        path: id,
      });
    }
    const config = readValidConfig(directory);
    const before = config.linux?.resources ?? {};
    const update = withoutKernelMemory(context, pending.checked(before));
    const after = mergeResources(before, update);
    const resources = resourcesToApply(update, after);
    withOptionNames(pending, () => {
      const steps = { changeScope, changeRdt, devicesBefore: before.devices ?? [] };
      apply(context, container, resources, steps);
    });
    const rdt = intelRdt === undefined ? {} : { intelRdt: { ...config.linux?.intelRdt, ...intelRdt } };
    replaceConfig(directory, { ...config, linux: { ...config.linux, ...rdt, resources: after } });
  });
}

/** Only a container with `intelRdt` has a class of service whose limits can be changed. */
function rdtChange(change: IntelRdt): (container: LockedContainer) => void {
  const OPTIONS = { l3CacheSchema: "--l3-cache-schema", memBwSchema: "--mem-bw-schema" };
  const writes: SchemaWrite[] = schemaWrites(change).map(({ value, pointer }) => ({
    value,
    pointer: pointer.endsWith("/l3CacheSchema") ? OPTIONS.l3CacheSchema : OPTIONS.memBwSchema,
  }));
  return ({ saved }) => {
    const [first] = writes;
    if (first === undefined) return;
    if (saved.resctrl === undefined) {
      throw new RuntsError(`${first.pointer}: container ${saved.id} was created without intelRdt`, {
        operation: "update",
        path: saved.id,
      });
    }
    updateSchemata(saved.resctrl, findResctrl(), writes);
  };
}

function pendingJson(change: { readonly file: string } | { readonly text: Uint8Array }): PendingChange {
  if ("text" in change) return pendingText(change.text, "resources");
  const source = change.file === "-" ? "standard input" : change.file;
  return pendingText(readResources(change.file, source), source);
}

function pendingText(text: Uint8Array, source: string): PendingChange {
  return {
    checked: (saved) => parseResources(text, source, (update) => mergeResources(saved, update)),
    nameOf: (pointer) => `${source}: ${pointer}`,
  };
}

function readResources(file: string, source: string): Uint8Array {
  try {
    return readFileSync(file === "-" ? 0 : file);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const [, errno = "", meaning = cause.message] = /^([A-Z0-9]+): ([^,]+)/.exec(cause.message) ?? [];
    throw new RuntsError(`cannot read ${source}: ${meaning}`, {
      operation: "open",
      errno,
      path: file,
      cause,
    });
  }
}

function pendingOptions({
  resources,
  optionOf,
}: Extract<ResourceChange, { readonly resources: LinuxResources }>): PendingChange {
  return {
    checked(saved) {
      const issues = resourceIssues(mergeResources(saved, resources));
      if (issues.length === 0) return resources;
      const lines = issues.map(({ pointer, message }) => `${optionOf(pointer)}: ${message}`);
      throw new RuntsError(lines.join("; "), { operation: "update", issues });
    },
    nameOf: optionOf,
  };
}

type ChangeScope = (writes: readonly CgroupWrite[], devices: readonly DeviceRule[] | undefined) => void;

/** Only a container in a scope of systemd needs to speak with it. */
function scopeChange({ root }: GlobalOptions, id: string): ChangeScope | undefined {
  const { scope, cgroup = "" } = tryReadState(containerDirectory(root, id)) ?? {};
  if (scope === undefined) return undefined;
  return (writes, devices) =>
    updateScope(scope, cgroup, { writes, ...(devices !== undefined && { devices }) });
}

/** runc's rule: no kernel does it any more, and callers still ask for it. */
function withoutKernelMemory({ log }: GlobalOptions, update: LinuxResources): LinuxResources {
  if (update.memory === undefined) return update;
  const { kernel = 0n, kernelTCP = 0n, ...memory } = update.memory;
  if (kernel !== 0n || kernelTCP !== 0n) {
    log.warn("kernel memory limits are ignored: cgroup v2 has none");
  }
  return { ...update, memory };
}

interface OtherSteps {
  readonly changeScope: ChangeScope | undefined;
  readonly changeRdt: ((container: LockedContainer) => void) | undefined;
  readonly devicesBefore: readonly DeviceRule[];
}

function apply(
  context: GlobalOptions,
  container: LockedContainer,
  { devices, ...limits }: LinuxResources,
  { changeScope, changeRdt, devicesBefore }: OtherSteps,
): void {
  const { cgroup, devices: added } = container.saved;
  // Devices that were added stay, whatever list of rules is given.
  const rules = devices === undefined ? undefined : rulesWithAdded(devices, added);
  const rootless = isRootless(context.rootless, inspectCaller());
  const change = new ResourceUpdate(cgroup, limits);
  // Refused as a whole or not at all, so that there is nothing to undo yet.
  changeScope?.(change.plan, rules);
  try {
    change.apply({ rootless });
    changeRdt?.(container);
    // Another program may have added to them since (GPUs): they stay if no list is given, as with runc and crun.
    if (rules !== undefined) {
      const warn = (message: string) => context.log.warn(message);
      applyDeviceRules(cgroup, rules, { rootless, isNew: false, warn });
    }
  } catch (error) {
    throw change.undo(error, () =>
      changeScope?.(change.earlier, rules === undefined ? undefined : rulesWithAdded(devicesBefore, added)),
    );
  }
}

function withOptionNames({ nameOf }: PendingChange, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw error instanceof RuntsError ? renamed(error, nameOf) : error;
  }
}

/** Returns the error with the caller's name for the pointer. */
function renamed(error: RuntsError, nameOf: PendingChange["nameOf"]): RuntsError {
  const { pointer, message } = error;
  if (pointer === undefined) return error;
  const shown = oneLine(pointer);
  if (!message.startsWith(`${shown}: `)) return error;
  const name = nameOf(pointer.replace(/^\/linux\/resources/, ""));
  return reworded(error, `${name}${message.slice(shown.length)}`);
}
