import { readFileSync } from "node:fs";

/** Controllers of the host's cgroup v2 hierarchy, by the names that cgroup.controllers has for them. */
export function hostControllers(): string[] {
  return readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");
}
