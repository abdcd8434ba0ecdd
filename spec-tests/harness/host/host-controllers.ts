import { readFileSync } from "node:fs";

/** Why a test that sets a limit of hugetlb is skipped: a hybrid host may have that controller alone on cgroup v2. */
export const NO_HUGETLB = "this machine has no hugetlb controller";

/** Controllers of the host's cgroup v2 hierarchy, by the names that cgroup.controllers has for them. */
export function hostControllers(): string[] {
  return readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");
}
