import { readlinkSync } from "../../bindings/linux/files.ts";
import { NAMESPACE_FLAGS } from "../plan/kernel-settings.ts";
import { namespaceFile } from "../spec/namespaces.ts";

/** CLONE_NEW* of the namespaces that a process is in and this one is not. namespaces(7) */
export function differingNamespaces(pid: number): number {
  let flags = 0;
  for (const [type, flag] of Object.entries(NAMESPACE_FLAGS)) {
    const name = namespaceFile(type);
    if (readNamespace(pid, name) !== readNamespace("self", name)) flags |= flag;
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
