import type { Config } from "../config.ts";

/** The host's python in a container of a guest: a loader by name needs no /lib64. The program follows. */
export const PYTHON: readonly string[] = ["/usr/lib64/ld-linux-x86-64.so.2", "/usr/bin/python3", "-Sc"];

export function withPython(config: Config): void {
  config.mounts.push({ destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro"] });
}
