import { readlinkSync } from "../../../bindings/linux/files.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import { NAMESPACE_FLAGS } from "../../plan/namespaces.ts";
import { namespaceFile } from "../../spec/namespaces.ts";

/** Returns CLONE_NEW* of the namespaces that init is in and this process is not. namespaces(7) */
export function differingNamespaces(pid: number): number {
  let flags = 0;
  for (const [type, flag] of Object.entries(NAMESPACE_FLAGS)) {
    const name = namespaceFile(type);
    const own = tryNamespace("self", name);
    if (own === undefined) continue;
    const other = tryNamespace(`${pid}`, name);
    if (other === undefined) throw hasStopped(pid, name);
    if (other !== own) flags |= flag;
  }
  return flags;
}

/**
 * Throws if init is not in the user namespace of this process any more. A user without privileges becomes root in their own one, and can
 * put any programs into a mount namespace there. A process that joins only the mount namespace would run them with rights that this user
 * does not have. Init can't come back from there, so that looking once, after the joining, is enough. user_namespaces(7)
 */
export function checkSameUserNamespace(pid: number): void {
  const name = namespaceFile("user");
  const own = tryNamespace("self", name);
  if (own === undefined) return;
  const other = tryNamespace(`${pid}`, name);
  if (other === undefined) throw hasStopped(pid, name);
  if (other === own) return;
  throw new RuntsError("the container's init has entered another user namespace just now", {
    operation: "setns",
    path: `/proc/${pid}/ns/${name}`,
  });
}

/** Returns undefined for a type that this kernel doesn't have, and for a process that has ended. */
function tryNamespace(process: string, name: string): string | undefined {
  try {
    return readlinkSync(`/proc/${process}/ns/${name}`);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw code === "EACCES" ? outOfReach(process, name) : error;
  }
}

/** Before init executes the container's program it is not dumpable: only a caller with CAP_SYS_PTRACE may look at it. ptrace(2) */
function outOfReach(process: string, name: string): RuntsError {
  const path = `/proc/${process}/ns/${name}`;
  return new RuntsError(`cannot look at ${path}: permission denied: the caller lacks CAP_SYS_PTRACE`, {
    operation: "readlink",
    errno: "EACCES",
    path,
  });
}

function hasStopped(pid: number, name: string): RuntsError {
  return new RuntsError(
    `cannot join the namespaces of a container that has stopped: process ${pid} is gone`,
    {
      operation: "readlink",
      errno: "ESRCH",
      path: `/proc/${pid}/ns/${name}`,
    },
  );
}
