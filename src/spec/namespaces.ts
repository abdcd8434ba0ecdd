import type { Linux, NamespaceType } from "./types.ts";

/** The name of a namespace's file in /proc/PID/ns. */
export function namespaceFile(type: string): string {
  return type === "mount" ? "mnt" : type === "network" ? "net" : type;
}

/** Whether the container has its own namespace of a type, new or joined. */
export function hasNamespace(linux: Linux | undefined, type: NamespaceType): boolean {
  for (const namespace of linux?.namespaces ?? []) {
    if (namespace.type === type) return true;
  }
  return false;
}

/** Whether the container gets a new namespace of a type, not a joined one. */
export function isNewNamespace(linux: Linux, type: NamespaceType): boolean {
  for (const namespace of linux.namespaces ?? []) {
    if (namespace.type === type) return (namespace.path ?? "") === "";
  }
  return false;
}
