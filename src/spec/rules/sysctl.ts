import type { Report } from "../issues.ts";
import { pointerToken } from "../json/scanner.ts";
import { hasNamespace } from "../namespaces.ts";
import type { Config, NamespaceType } from "../types.ts";

/** Parameters of IPC namespaces, besides those in fs.mqueue: ipc_namespaces(7). */
const IPC_PARAMETERS: readonly string[] = [
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shm_rmid_forced",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
];

/** Allows only parameters that belong to a namespace of the container, as any other would change the host. */
export function sysctlRules(config: Config, report: Report): void {
  for (const key of Object.keys(config.linux?.sysctl ?? {})) {
    const message = problem(key, config);
    if (message !== undefined) report(`/linux/sysctl/${pointerToken(key)}`, message);
  }
}

/** The path of a parameter below /proc/sys. Its first separator says whether dots or slashes separate its parts: sysctl.d(5). */
export function sysctlPath(key: string): string {
  const dot = key.indexOf(".");
  const slash = key.indexOf("/");
  return dot !== -1 && (slash === -1 || dot < slash) ? swapSeparators(key) : key;
}

function problem(key: string, config: Config): string | undefined {
  const path = sysctlPath(key);
  if (!path.includes("/") || hasOddParts(`/${path}/`)) {
    return "must be the name of a kernel parameter, such as net.ipv4.ip_forward";
  }
  const name = dottedName(key);
  if (name === "kernel.hostname") return "must be set by the property hostname";
  if (name === "kernel.domainname" && (config.domainname ?? "") !== "") {
    return "conflicts with the property domainname";
  }
  const needed = namespaceOf(name);
  if (needed === undefined) return "does not belong to a namespace, setting it would change the host";
  return hasNamespace(config.linux, needed) ? undefined : `needs a ${needed} namespace`;
}

/** The namespace that a parameter belongs to; undefined if it is the host's. */
export function sysctlNamespace(key: string): NamespaceType | undefined {
  return namespaceOf(dottedName(key));
}

function dottedName(key: string): string {
  const path = sysctlPath(key);
  return path === key ? swapSeparators(path) : key;
}

function namespaceOf(name: string): NamespaceType | undefined {
  if (name.startsWith("net.")) return "network";
  if (name.startsWith("fs.mqueue.") || IPC_PARAMETERS.includes(name)) return "ipc";
  if (name.startsWith("user.")) return "user";
  return name === "kernel.domainname" ? "uts" : undefined;
}

/** Whether a path has parts by which it could leave its namespace's parameters, such as "net.//.kernel.core_pattern". */
function hasOddParts(path: string): boolean {
  return path.includes("//") || path.includes("/./") || path.includes("/../");
}

function swapSeparators(name: string): string {
  if (!name.includes("/")) return name.replaceAll(".", "/");
  if (!name.includes(".")) return name.replaceAll("/", ".");
  return name.replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));
}
