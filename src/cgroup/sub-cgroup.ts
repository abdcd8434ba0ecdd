import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { mkdirSync } from "../../bindings/linux/directories.ts";
import { errorCode, RuntsError } from "../errors.ts";
import { cgroupName, describeErrno, writeCgroupFile } from "./files.ts";
import { enableControllers } from "./limits/controllers.ts";

/**
 * Makes the cgroup `directory`, which is below a container's own, and moves init there. The cgroups above it have no processes then, so
 * that all of their controllers can be enabled for it: cgroups(7), "no internal processes". `pointer` is that of the annotation that
 * asks for it.
 */
export function enterSubCgroup(directory: string, pid: number, pointer: string): void {
  const attempt = (purpose: string, action: () => void) => {
    try {
      withPurpose(pointer, purpose, action);
    } catch (error) {
      const errno = errorCode(error);
      if (errno === "") throw error;
      const message = `${pointer}: cannot ${purpose}: ${describeErrno(errno)}`;
      throw new RuntsError(message, { operation: "cgroup", errno, pointer, path: directory, cause: error });
    }
  };
  const name = cgroupName(directory);
  attempt(`make the cgroup ${name}`, () => mkdirSync(directory, { mode: 0o755, recursive: true }));
  attempt(`move init to the cgroup ${name}`, () => writeCgroupFile(directory, "cgroup.procs", String(pid)));
  enableControllers(directory, new Map());
}
