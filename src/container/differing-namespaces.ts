import { readlinkSync } from "../../bindings/linux/files.ts";
import { NAMESPACE_FLAGS } from "../plan/kernel-settings.ts";

/** CLONE_NEW* of the namespaces that a process is in and this one is not. namespaces(7) */
export function differingNamespaces(pid: number): number {
  const names = {
    mnt: "mount",
    uts: "uts",
    ipc: "ipc",
    user: "user",
    pid: "pid",
    net: "network",
    cgroup: "cgroup",
  };
  let flags = 0;
  for (const [name, type] of Object.entries({ ...names, time: "time" })) {
    if (readNamespace(pid, name) !== readNamespace("self", name)) flags |= NAMESPACE_FLAGS[type] ?? 0;
  }
  return flags;
}

/** Empty for a type that this kernel doesn't have. */
function readNamespace(pid: number | "self", name: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}
