import type { MountInfo } from "../../bindings/linux/mount-info.ts";
import type { Stats } from "../cgroup/stats.ts";
import type { ContainerState } from "../container/record/status.ts";
import type { Finding } from "../doctor/finding.ts";
import type { Explanation } from "../explain/operation.ts";
import type { Config } from "../spec/types.ts";
import type { Validation } from "../validate/finding.ts";
import type { Token } from "./config-lines.ts";

/** The facts that a page shows. Those that could not be read are absent, and `problems` says why. */
export interface Report {
  /** The container's id, or the path of the bundle. */
  readonly subject: string;
  readonly config: ReportedConfig;
  /** Absent for a config with errors. */
  readonly explanation?: Explanation;
  readonly container?: ReportedContainer;
  /** Findings of doctor about this host; absent on a page of `explain`. */
  readonly host?: readonly Finding[];
  /** Names and versions of the software. */
  readonly versions: readonly (readonly [name: string, version: string])[];
  /** RFC 3339. */
  readonly made: string;
  readonly problems: readonly string[];
}

export interface ReportedConfig {
  readonly path: string;
  readonly tokens: readonly Token[];
  /** Absent for a config with errors. */
  readonly parsed?: Config;
  readonly validation: Validation;
}

export interface ReportedContainer {
  readonly state: ContainerState;
  readonly findings: readonly Finding[];
  /** Directory of the cgroup; empty if it has none. */
  readonly cgroup: string;
  /** Current contents of the cgroup files that the config sets, by name. */
  readonly limits: ReadonlyMap<string, string>;
  readonly usage?: Stats;
  /** As the kernel shows them to init; empty for a stopped container. */
  readonly mounts: readonly MountInfo[];
  /** Numbers of the namespaces that init is in, by type; empty for a stopped container. */
  readonly namespaces: ReadonlyMap<string, string>;
}
