import type { Program, Register, Reply } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import type { Process } from "../../spec/types.ts";
import { cleanPath, openInRoot, openOrCreate } from "../rootfs-paths.ts";

/** Creates a missing working directory for init, as runc and crun do, before mounts become read-only. */
export function makeWorkingDirectory(program: Program, root: Register, process: Process): void {
  program.about("/process/cwd", `make the working directory ${process.cwd}`);
  openOrCreate(program, root, process.cwd, "directory");
}

/** Enters the working directory while the process is still root. */
export function enterWorkingDirectory(program: Program, root: Register, process: Process): Register {
  program.about("/process/cwd", `change to the working directory ${process.cwd}`);
  // Fails for a magic link of procfs: chdir would follow it to wherever its descriptor leads.
  openInRoot(program, root, process.cwd);
  // Root may enter directories that the user may not; runc and crun allow that, too. verifyWorkingDirectory tries the others as the user.
  return program.call("chdir", [cleanPath(process.cwd)], { tolerate: ["EACCES"] });
}

/**
 * Enters the working directory as the user if root could not, and asks the kernel for its path. The returned check fails if the directory is
 * outside of the container's root, where it has no path (CVE-2024-21626).
 */
export function verifyWorkingDirectory(
  program: Program,
  process: Process,
  entered: Register,
): (reply: Reply) => void {
  program.about("/process/cwd", `change to the working directory ${process.cwd}`);
  program.do("chdir", [cleanPath(process.cwd)], { if: [entered, "failed"] });
  const path = program.output(4096);
  program.do("getcwd", [path, 4096], { path: process.cwd });
  const output = program.outputs.indexOf(path);
  return ({ outputs }) => {
    if (outputs[output]?.[0] === "/".charCodeAt(0)) return;
    throw new RuntsError("/process/cwd: the working directory is outside of the container", {
      operation: "getcwd",
      errno: "ENOENT",
      path: process.cwd,
      pointer: "/process/cwd",
    });
  };
}
