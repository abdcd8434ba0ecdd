import { writeFileSync } from "node:fs";
import type { Namespaces } from "../plan/init-plan.ts";
import type { IdMapping, Linux } from "../spec/types.ts";
import { onBehalfOf } from "./run-program.ts";

/**
 * Writes the mappings of a new user namespace. A caller without CAP_SETGID in the parent namespace must deny setgroups(2)
 * first (CVE-2014-8989, user_namespaces(7)).
 */
export function writeIdMappings(
  pid: number,
  linux: Linux,
  namespaces: Namespaces,
  privileged: boolean,
): void {
  if (!namespaces.created.has("user")) return;
  if (!privileged) {
    onBehalfOf("/linux/gidMappings", "deny setgroups", () => {
      writeFileSync(`/proc/${pid}/setgroups`, "deny");
    });
  }
  onBehalfOf("/linux/gidMappings", "write the group mappings", () => {
    writeFileSync(`/proc/${pid}/gid_map`, lines(linux.gidMappings ?? []));
  });
  onBehalfOf("/linux/uidMappings", "write the user mappings", () => {
    writeFileSync(`/proc/${pid}/uid_map`, lines(linux.uidMappings ?? []));
  });
}

function lines(mappings: readonly IdMapping[]): string {
  return mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");
}
