import { readFileSync, statSync } from "node:fs";
import { FileError } from "../../bindings/linux/file-call.ts";
import { countDevicePrograms } from "../cgroup/devices/attach.ts";
import { CGROUP_MOUNT, tryReadCgroupFile } from "../cgroup/files.ts";
import { planResources } from "../cgroup/limits/plan.ts";
import type { GlobalOptions } from "../container/context.ts";
import { readSavedState, type SavedState } from "../container/record/saved-state.ts";
import { awaitsStart, statusOf } from "../container/record/status.ts";
import { namespacesOf } from "../plan/init-plan.ts";
import { NAMESPACE_FLAGS } from "../plan/namespaces.ts";
import { readValidConfig } from "../spec/config.ts";
import { namespaceFile } from "../spec/namespaces.ts";
import type { Config } from "../spec/types.ts";
import { type CgroupFacts, examineCgroup } from "./cgroup.ts";
import type { Finding } from "./finding.ts";
import { examineAddedDevices, examineMounts, withFilesOf } from "./mounts.ts";
import { examineNamespaces, examineProcess, type InitFacts } from "./process.ts";

/** Compares what the kernel shows of a container with its saved config, which includes the changes of `update`. */
export function examine(context: GlobalOptions, id: string): Finding[] {
  const { directory, saved } = readSavedState(context.root, id);
  const status = statusOf(directory, saved);
  const detail =
    status === "stopped" ? "stopped: nothing more to look at" : `${status}, process ${saved.pid}`;
  const state: Finding = { area: "container", subject: id, verdict: "note", detail };
  if (status === "stopped" || status === "creating") return [state];
  const config = readValidConfig(directory);
  const facts = initFacts(saved.pid);
  return [
    state,
    ...examineNamespaces(namespacesOf(config), facts),
    ...cgroupFindings(config, saved),
    ...mountFindings(config, saved),
    ...processFindings(config, awaitsStart(directory, saved), facts),
  ];
}

function initFacts(pid: number): InitFacts {
  const read = (name: string) => tryRead(`/proc/${pid}/${name}`)?.trim() ?? "";
  return {
    status: read("status"),
    limits: read("limits"),
    oomScoreAdj: read("oom_score_adj"),
    label: read("attr/current").replace(/\0$/, ""),
    namespaces: namespaceIdentities(pid),
    ownNamespaces: namespaceIdentities("self"),
    namespaceAt,
    lastCapability: Number(tryRead("/proc/sys/kernel/cap_last_cap") ?? 0),
  };
}

function namespaceIdentities(pid: number | "self"): ReadonlyMap<string, string> {
  const identities = Object.keys(NAMESPACE_FLAGS).flatMap((type): [string, string][] => {
    const identity = namespaceAt(`/proc/${pid}/ns/${namespaceFile(type)}`);
    return identity === undefined ? [] : [[type, identity]];
  });
  return new Map(identities);
}

/** Identity of a namespace: device and inode of its file, since a bind mount of the file is not a symbolic link. */
function namespaceAt(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function cgroupFindings({ linux = {} }: Config, { cgroup, pid }: SavedState): Finding[] {
  if (cgroup === "")
    return [{ area: "cgroup", subject: "place", verdict: "note", detail: "has none of its own" }];
  const resources = linux.resources ?? {};
  const facts: CgroupFacts = {
    current: /^0::(.*)$/m.exec(tryRead(`/proc/${pid}/cgroup`) ?? "")?.[1] ?? "",
    wanted: cgroup.slice(CGROUP_MOUNT.length),
    read: (file) => tryReadCgroupFile(cgroup, file),
    devicePrograms: countDevicePrograms(cgroup),
  };
  return examineCgroup(planResources(resources), facts);
}

function mountFindings(config: Config, { pid, bundle, devices = [] }: SavedState): Finding[] {
  if (!namespacesOf(config).created.has("mount")) return [];
  try {
    return withFilesOf(pid, bundle, (files) => [
      ...examineMounts(config, files),
      ...examineAddedDevices(devices, files),
    ]);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    return [{ area: "mounts", subject: "all", verdict: "note", detail: "this caller may not look at them" }];
  }
}

/** Before `start`, init is the stub, and does not have the user and the capabilities of the process yet. */
function processFindings(config: Config, isWaiting: boolean, facts: InitFacts): Finding[] {
  if (config.process === undefined) return [];
  if (isWaiting) return [{ area: "process", subject: "program", verdict: "note", detail: "not started yet" }];
  return examineProcess(config, config.process, facts);
}
