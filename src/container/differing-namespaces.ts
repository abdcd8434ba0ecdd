import { readlinkSync } from "../../bindings/linux/files.ts";
import { NAMESPACE_FLAGS } from "../plan/kernel-settings.ts";
import { namespaceFile } from "../spec/namespaces.ts";

/** CLONE_NEW* of the namespaces that a process is in and this one is not. namespaces(7) */
export function differingNamespaces(pid: number): number {
  let flags = 0;
  for (const [type, flag] of Object.entries(NAMESPACE_FLAGS)) {
    const name = namespaceFile(type);
    const own = ownNamespace(name);
    if (own !== undefined && readlinkSync(`/proc/${pid}/ns/${name}`) !== own) flags |= flag;
  }
  return flags;
}

/** undefined for a type that this kernel doesn't have. */
function ownNamespace(name: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/ns/${name}`);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
