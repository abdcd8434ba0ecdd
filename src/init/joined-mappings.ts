import { readFileSync } from "../../bindings/linux/files.ts";
import { RuntsError } from "../errors.ts";
import { mapLine, parseIdMap } from "../spec/id-map.ts";
import type { IdMapping, Linux } from "../spec/types.ts";

/**
 * Refuses a config whose mappings differ from those of the user namespace that it joins: they would describe another container than the one
 * that is made. Engines write the right ones into the config, which is harmless.
 */
export function checkJoinedMappings(pid: number, { uidMappings = [], gidMappings = [] }: Linux): void {
  check(uidMappings, `/proc/${pid}/uid_map`, "/linux/uidMappings");
  check(gidMappings, `/proc/${pid}/gid_map`, "/linux/gidMappings");
}

function check(mappings: readonly IdMapping[], file: string, pointer: string): void {
  if (mappings.length === 0) return;
  const asked = mappings.map(mapLine);
  const present = parseIdMap(readFileSync(file, "latin1")).map(mapLine);
  if (asked.sort().join() === present.sort().join()) return;
  throw new RuntsError(`${pointer}: the user namespace to join has other mappings: ${present.join(", ")}`, {
    operation: "setns",
    pointer,
  });
}
