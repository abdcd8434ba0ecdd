import { readFileSync, writeFileSync } from "../../bindings/linux/files.ts";
import type { Namespaces } from "../plan/init-plan.ts";
import { mapLine } from "../spec/id-map.ts";
import type { IdMapping, Linux } from "../spec/types.ts";
import { onBehalfOf } from "./run-program.ts";

/** Decides who writes the mappings of a new user namespace. */
export interface MappingRights {
  /** Whether the runtime is root in its user namespace. */
  readonly privileged: boolean;
  /** Writes them for a caller who may not: newuidmap(1), newgidmap(1). Absent where the caller's own rights are enough. */
  readonly mapIds?: ((pid: number) => void) | undefined;
}

/**
 * Writes the mappings of a new user namespace. A caller without CAP_SETGID in the parent namespace must deny setgroups(2)
 * first (CVE-2014-8989, user_namespaces(7)).
 */
export function writeIdMappings(
  pid: number,
  linux: Linux,
  namespaces: Namespaces,
  { privileged, mapIds }: MappingRights,
): void {
  if (!namespaces.created.has("user")) return;
  if (mapIds !== undefined) {
    mapIds(pid);
    return;
  }
  writeGroups(pid, linux.gidMappings ?? [], !privileged);
  writeUsers(pid, linux.uidMappings ?? []);
}

export function writeGroups(pid: number, mappings: readonly IdMapping[], denySetgroups: boolean): void {
  if (denySetgroups) {
    onBehalfOf("/linux/gidMappings", "deny setgroups", () => {
      writeFileSync(`/proc/${pid}/setgroups`, "deny");
    });
  }
  onBehalfOf("/linux/gidMappings", "write the group mappings", () => {
    writeFileSync(`/proc/${pid}/gid_map`, mapLines(mappings));
  });
}

export function writeUsers(pid: number, mappings: readonly IdMapping[]): void {
  onBehalfOf("/linux/uidMappings", "write the user mappings", () => {
    writeFileSync(`/proc/${pid}/uid_map`, mapLines(mappings));
  });
}

/** The one mapping that a user without privileges may write: only of their own id. user_namespaces(7) */
export function mapsOnly(mappings: readonly IdMapping[] | undefined, id: number): boolean {
  const [first, ...others] = mappings ?? [];
  return first !== undefined && others.length === 0 && first.hostID === id && first.size === 1;
}

/** The text to write to a uid_map or gid_map. user_namespaces(7) */
export function mapLines(mappings: readonly IdMapping[]): string {
  return mappings.map((mapping) => `${mapLine(mapping)}\n`).join("");
}

/** Whether setgroups(2) is allowed in the user namespace that a process is in. user_namespaces(7) */
export function allowsSetgroups(pid: number | string): boolean {
  return readFileSync(`/proc/${pid}/setgroups`, "latin1").trim() === "allow";
}
