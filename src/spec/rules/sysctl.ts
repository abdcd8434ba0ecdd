import type { Report } from "../issues.ts";
import { pointerToken } from "../json/scanner.ts";
import { hasNamespace } from "../namespaces.ts";
import type { Config, NamespaceType } from "../types.ts";

/** Parameters of ipc_namespaces(7); those below fs.mqueue come on top. */
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

/** Only parameters that belong to a namespace of the container: any other would change the host. */
export function sysctlRules(config: Config, report: Report): void {
  for (const key of Object.keys(config.linux?.sysctl ?? {})) {
    const message = problem(key, config);
    if (message !== undefined) report(`/linux/sysctl/${pointerToken(key)}`, message);
  }
}

/** Path below /proc/sys of a parameter; the first separator tells whether dots or slashes part it: sysctl.d(5). */
export function sysctlPath(key: string): string {
  const dot = key.indexOf(".");
  const slash = key.indexOf("/");
  return dot !== -1 && (slash === -1 || dot < slash) ? swapSeparators(key) : key;
}

function problem(key: string, config: Config): string | undefined {
  const path = sysctlPath(key);
  if (!path.includes("/") || leavesItsPlace(`/${path}/`)) {
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

/** "net.//.kernel.core_pattern" would leave the part of the tree that its beginning names. */
function leavesItsPlace(path: string): boolean {
  return path.includes("//") || path.includes("/./") || path.includes("/../");
}

function swapSeparators(name: string): string {
  if (!name.includes("/")) return name.replaceAll(".", "/");
  if (!name.includes(".")) return name.replaceAll("/", ".");
  return name.replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));
}
