import type { Report, Rule } from "./issues.ts";
import { linuxRules } from "./rules-linux.ts";
import { mountRules } from "./rules-mounts.ts";
import { processRules } from "./rules-process.ts";
import { resourceRules } from "./rules-resources.ts";
import { seccompRules } from "./rules-seccomp.ts";
import type { Config } from "./types.ts";

/** The rules on a config that obeys the schema (config.md, config-linux.md). */
export const RULES: readonly Rule[] = [
  { reads: ["/ociVersion"], check: versionRule },
  { reads: ["/process"], check: processRequired },
  { reads: ["/annotations"], check: annotationRule },
  ...mountRules,
  ...processRules,
  ...linuxRules,
  ...resourceRules,
  ...seccompRules,
];

function versionRule({ ociVersion }: Config, report: Report): void {
  if (!ociVersion.startsWith("1.")) report("/ociVersion", `unsupported version ${ociVersion}, must be 1.x`);
}

/** The specification lets `create` go without a process, yet a container without one could never be started. */
function processRequired({ process }: Config, report: Report): void {
  if (process === undefined) report("/process", "is required: the process property must not be empty");
}

function annotationRule({ annotations = {} }: Config, report: Report): void {
  if (Object.hasOwn(annotations, "")) report("/annotations/", "must have a name that is not empty");
}
