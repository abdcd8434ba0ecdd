import { idMapOption, parseIdMapOption, wantsIdMap } from "../id-mapped-mount.ts";
import type { Report, Rule } from "../issues.ts";
import { hasNamespace } from "../namespaces.ts";
import type { Config, Mount } from "../types.ts";
import { reportRanges } from "./linux.ts";

export const mountRules: readonly Rule[] = [
  { reads: ["/mounts", "/linux/namespaces", "/linux/uidMappings", "/linux/gidMappings"], check: idMapRules },
];

function idMapRules({ mounts = [], linux }: Config, report: Report): void {
  for (let index = 0; index < mounts.length; index++) {
    const mount = mounts[index];
    if (mount !== undefined && wantsIdMap(mount)) checkIdMap(mount, `/mounts/${index}`, linux, report);
  }
}

/** config.md, Mounts: both mappings or neither. With neither, those of the container's user namespace are used, so it must have one. */
function checkIdMap(mount: Mount, at: string, linux: Config["linux"], report: Report): void {
  const { uidMappings = [], gidMappings = [], options = [] } = mount;
  const hasUids = uidMappings.length > 0;
  const hasGids = gidMappings.length > 0;
  if (hasUids !== hasGids) {
    const [present, absent] = hasUids ? ["uidMappings", "gidMappings"] : ["gidMappings", "uidMappings"];
    report(`${at}/${present}`, `must come together with ${absent}`);
  }
  reportRanges(`${at}/uidMappings`, uidMappings, report);
  reportRanges(`${at}/gidMappings`, gidMappings, report);
  const option = idMapOption(options);
  const atOption = option === undefined ? `${at}/uidMappings` : `${at}/options/${option.index}`;
  if (options.includes("remount")) report(atOption, "can't be changed by a remount");
  if (option === undefined || hasUids || hasGids) {
    if (option?.mappings !== undefined)
      report(atOption, "has mappings, but the mount has uidMappings and gidMappings too");
  } else if (option.mappings !== undefined) {
    checkOptionMappings(option.mappings, atOption, linux, report);
  } else if (!hasNamespace(linux, "user")) {
    report(
      atOption,
      "needs uidMappings and gidMappings, or a container with a user namespace to take them from",
    );
  }
}

function checkOptionMappings(text: string, at: string, linux: Config["linux"], report: Report): void {
  const parsed = parseIdMapOption(text, linux);
  if (typeof parsed === "string") {
    report(at, parsed);
    return;
  }
  for (const { size } of [...parsed.uidMappings, ...parsed.gidMappings]) {
    if (size === 0) report(at, "has a mapping of size 0");
  }
}
