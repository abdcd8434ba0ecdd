import { readdirSync, readFileSync } from "node:fs";
import { CGROUP_MOUNT } from "../cgroup/files.ts";

/** Features of this kernel, for reports and warnings. Lists are empty where they can't be read. */

/** Controllers of cgroup v2 in the root cgroup. */
export function controllers(): string[] {
  return words(textOf(`${CGROUP_MOUNT}/cgroup.controllers`));
}

/** File systems of the kernel, without those of modules that are not loaded. proc_filesystems(5) */
export function fileSystems(): string[] {
  return textOf("/proc/filesystems")
    .split("\n")
    .map((line) => line.split("\t").at(-1) ?? "");
}

/** Kinds of namespaces, by the names in /proc/self/ns: `mnt`, `net`, … */
export function namespaceFiles(): string[] {
  return namesIn("/proc/self/ns").filter((name) => !name.endsWith("_for_children"));
}

/** The limit user.max_user_namespaces; undefined where it can't be read. user_namespaces(7) */
export function maxUserNamespaces(): number | undefined {
  const text = textOf("/proc/sys/user/max_user_namespaces");
  return text === "" ? undefined : Number(text);
}

/** Text of a file, trimmed; empty where it can't be read. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

export function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}
