import type { Report, Rule } from "../issues.ts";
import { LANDLOCK_ANNOTATION, landlockRule } from "../landlock.ts";
import type { Config } from "../types.ts";
import { linuxRules } from "./linux.ts";
import { mountRules } from "./mounts.ts";
import { processRules } from "./process.ts";
import { resourceRules } from "./resources.ts";
import { seccompRules } from "./seccomp.ts";

/** All rules for a config that obeys the schema (config.md, config-linux.md). */
export const RULES: readonly Rule[] = [
  { reads: ["/ociVersion"], check: versionRule },
  { reads: ["/annotations", "/process/noNewPrivileges"], check: annotationRules },
  ...mountRules,
  ...processRules,
  ...linuxRules,
  ...resourceRules,
  ...seccompRules,
];

function versionRule({ ociVersion }: Config, report: Report): void {
  if (!ociVersion.startsWith("1.")) report("/ociVersion", `unsupported version ${ociVersion}, must be 1.x`);
}

function annotationRules(config: Config, report: Report): void {
  const { annotations } = config;
  if (annotations === undefined) return;
  if (Object.hasOwn(annotations, "")) report("/annotations/", "must have a name that is not empty");
  if (annotations[LANDLOCK_ANNOTATION] !== undefined) landlockRule(config, report);
}
