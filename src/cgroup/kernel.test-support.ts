import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CGROUP_MOUNT, readWords } from "./files.ts";
import { findCgroupMount } from "./path.ts";

/** The reason why tests on real cgroups can't run here, or false. */
export const skipReason: string | false = (() => {
  if (process.getuid?.() !== 0) return "needs root";
  try {
    findCgroupMount();
    return false;
  } catch {
    return `needs cgroup v2 at ${CGROUP_MOUNT}, in a mount namespace of its own where the host has v1`;
  }
})();

export function hostHas(controller: string): boolean {
  return skipReason === false && readWords(CGROUP_MOUNT, "cgroup.controllers").includes(controller);
}

/** A path for a cgroup that nobody else uses. The caller creates and removes it. */
export function freshCgroup(): string {
  const directory = mkdtempSync(join(tmpdir(), "runts-cgroup-"));
  rmdirSync(directory);
  return `${CGROUP_MOUNT}/${directory.split("/").at(-1)}`;
}

export interface Member {
  readonly pid: number;
  /** Runs a shell command inside of the cgroup and returns its exit code. */
  run(command: string): Promise<number>;
  readonly ended: Promise<void>;
}

/** A shell in the cgroup. */
export function startMember(directory: string | Buffer): Member {
  const shell = spawn("sh", [], { stdio: ["pipe", "pipe", "ignore"] });
  const pid = shell.pid ?? 0;
  writeFileSync(Buffer.concat([Buffer.from(directory), Buffer.from("/cgroup.procs")]), String(pid));
  const ended = new Promise<void>((resolve) => shell.once("exit", () => resolve()));
  return { pid, ended, run: (command) => runIn(shell, command) };
}

function runIn(shell: ChildProcess, command: string): Promise<number> {
  return new Promise((resolve) => {
    shell.stdout?.once("data", (output: Buffer) => resolve(Number(output.toString())));
    shell.stdin?.write(`(${command}) >&2; echo $?\n`);
  });
}

export function read(directory: string, file: string): string {
  return readFileSync(`${directory}/${file}`, "utf8").trim();
}
