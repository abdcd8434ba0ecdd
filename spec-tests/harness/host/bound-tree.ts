import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import type { Container } from "../container.ts";
import type { Sandbox } from "../sandbox.ts";

/** A host folder that is a mount, with another one below it; both have the flags. */
export function tree(sandbox: Sandbox, flags: string | undefined, propagation = "private"): string {
  const folder = sandbox.path("tree");
  mkdirSync(folder);
  sandbox.atEnd(() => void execFileSync("umount", ["-R", folder]));
  for (const path of [folder, `${folder}/sub`]) {
    mkdirSync(path, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", path]);
    mkdirSync(`${path}/sub`);
  }
  execFileSync("mount", [`--make-r${propagation}`, folder]);
  for (const path of [folder, `${folder}/sub`])
    if (flags !== undefined) execFileSync("mount", ["-o", `remount,bind,${flags}`, path]);
  return folder;
}

export function bound(sandbox: Sandbox, source: string, options: readonly string[]): Container {
  return sandbox.shell("grep ' /mnt' /proc/self/mountinfo", (config) => {
    config.mounts.push({ destination: "/mnt", type: "bind", source, options: [...options] });
  });
}

export interface Seen {
  readonly flags: readonly string[];
  /** Words of the optional fields: shared, master, unbindable. */
  readonly propagation: readonly string[];
}

/** The mounts of a mountinfo by mount point. proc_pid_mountinfo(5) */
export function mountsOf(mountinfo: string): Map<string, Seen> {
  const mounts = new Map<string, Seen>();
  for (const line of mountinfo.trim().split("\n")) {
    const fields = line.split(" ");
    const optional = fields.slice(6, fields.indexOf("-")).map((field) => field.replace(/:.*/, ""));
    mounts.set(fields[4] ?? "", { flags: (fields[5] ?? "").split(","), propagation: optional });
  }
  return mounts;
}

/** The container's mounts /mnt and /mnt/sub, by its mountinfo. */
export async function seen(container: Container): Promise<readonly [top: Seen, sub: Seen]> {
  const mounts = mountsOf(await container.output());
  const [top, sub] = [mounts.get("/mnt"), mounts.get("/mnt/sub")];
  if (top === undefined || sub === undefined) throw new Error(`not both mounted: ${[...mounts.keys()]}`);
  return [top, sub];
}
