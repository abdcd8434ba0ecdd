import { cgroupPathFor, findCgroupMount } from "../../cgroup/path.ts";
import { ContainerScope } from "../../cgroup/systemd/scope.ts";
import { readValidConfig } from "../../spec/config.ts";
import { isObject } from "../../spec/json/reader.ts";
import { readRegularFile } from "../../spec/regular-file.ts";
import type { Config } from "../../spec/types.ts";
import { inspectCaller, managerOf } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import { killProcess } from "../process/saved-process.ts";

/**
 * Kills a container whose record is damaged. Its processes are found by the fields of the record that are certain (a pid with its start
 * time, a cgroup), and by the saved config. Returns the directory of its cgroup; empty if none is known.
 */
export function killFromDamagedState(context: GlobalOptions, id: string, directory: string): string {
  const { pid, startTime, cgroup } = remainsOf(`${directory}/state.json`);
  if (typeof pid === "number" && typeof startTime === "string") killProcess(pid, startTime);
  if (typeof cgroup === "string") return cgroup;
  try {
    return configuredCgroup(context, id, readValidConfig(directory));
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    context.log.warn(`the cgroup of container ${id} is not known, nor are its processes: ${reason}`);
    return "";
  }
}

function remainsOf(path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(readRegularFile(path)).toString("utf8"));
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

/** Returns the cgroup that `create` has chosen, given the same options. */
function configuredCgroup(context: GlobalOptions, id: string, config: Config): string {
  if (context.noCgroup === true) return "";
  if (context.systemdCgroup !== true) return cgroupPathFor(config, id, findCgroupMount());
  return new ContainerScope(config, id, managerOf(inspectCaller())).directory;
}
