import { RuntsError } from "../errors.ts";
import { cgroupName, describeProcesses, processesOf, readWords } from "./files.ts";

/**
 * A clone into a cgroup that the kernel has refused, in terms of that cgroup: with controllers enabled for those below it, it takes
 * no processes itself (cgroups(7), "no internal processes").
 */
export function explainEntry(error: unknown, directory: string): unknown {
  if (!(error instanceof RuntsError) || error.operation !== "clone3" || error.errno !== "EBUSY") return error;
  const enabled = readWords(directory, "cgroup.subtree_control");
  if (enabled.length === 0) return error;
  const pids = processesOf(directory);
  const blocking = pids.length === 0 ? "" : `; in those are ${describeProcesses(pids)}`;
  return new RuntsError(
    `/linux/cgroupsPath: cgroup ${cgroupName(directory)} takes no processes itself, as its cgroup.subtree_control enables ` +
      `${enabled.join(", ")} for the cgroups below it: choose one of those${blocking}`,
    { operation: "clone3", errno: "EBUSY", pointer: "/linux/cgroupsPath", path: directory, cause: error },
  );
}
