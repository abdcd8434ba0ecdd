import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config, Seccomp } from "../config.ts";
import type { Container } from "../container.ts";
import { FILTER_CACHE, type Sandbox } from "../sandbox.ts";

/**
 * Compiled filters are kept below the state root. Whether one was taken from there shows in the runtime's memory: it then has not
 * loaded libseccomp.
 */

const NATIVE = process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64";
export const CHMOD = ["chmod", "fchmod", "fchmodat", "fchmodat2"];

export const denyChmod: Seccomp = {
  defaultAction: "SCMP_ACT_ALLOW",
  architectures: [NATIVE],
  syscalls: [
    { names: CHMOD, action: "SCMP_ACT_ERRNO", errnoRet: 95 },
    { names: ["kill"], action: "SCMP_ACT_ERRNO", args: [{ index: 1, value: 10, op: "SCMP_CMP_EQ" }] },
  ],
};
export const allowAll: Seccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: [NATIVE] };

export function profiled(seccomp: Seccomp): (config: Config) => void {
  return (config) => {
    config.linux.seccomp = seccomp;
    config.root.readonly = false;
  };
}

/** A program that tells whether the filter holds, and goes on until it is killed. */
export const PROBE = "chmod 700 /tmp 2>/dev/null && echo weak || echo denied; exec sleep 1000";

export interface Outcome {
  readonly printed: string;
  readonly compiled: boolean;
}

/** Runs a container of the profile: what it could do, and whether its filter was compiled for it. */
export async function runProbe(
  sandbox: Sandbox,
  seccomp = denyChmod,
  options: RunOptions = {},
): Promise<Outcome> {
  const { container = sandbox.shell(PROBE, profiled(seccomp)), ...rest } = options;
  return runtimeOf(container, rest);
}

export interface RunOptions {
  readonly container?: Container;
  readonly runtime?: string;
  readonly wrapper?: readonly string[];
  readonly globals?: readonly string[];
}

export async function runtimeOf(
  container: Container,
  options: Omit<RunOptions, "container">,
): Promise<Outcome> {
  let maps = "";
  const { stdout, stderr } = await container.run({
    ...options,
    whileRunning: async (pid) => {
      await expect.poll(async () => (await container.stateCommand()).stdout).toMatch(/running/);
      const { pid: init } = await container.state();
      // The last command of the program: it has printed what it could do.
      await expect.poll(() => readFileSync(`/proc/${init}/comm`, "utf8")).toBe("sleep\n");
      const engine = await enginePid(pid);
      maps = readFileSync(`/proc/${engine}/maps`, "utf8");
      await container.kill("KILL");
    },
  });
  expect([maps.includes("koffi.node"), stderr]).toEqual([true, ""]);
  return { printed: stdout.trim(), compiled: maps.includes("libseccomp") };
}

/** The runtime itself below what wraps it: those replace themselves by it. */
async function enginePid(pid: number): Promise<number> {
  await expect.poll(() => readFileSync(`/proc/${pid}/maps`, "utf8")).toContain("koffi.node");
  return pid;
}

export function entries(sandbox: Sandbox): string[] {
  return readdirSync(join(sandbox.root, FILTER_CACHE)).sort();
}

/** A state root with the filter of one profile in its cache. */
export async function warmed(sandbox: Sandbox): Promise<string> {
  expect(await runProbe(sandbox)).toEqual({ printed: "denied", compiled: true });
  const [name = "", ...others] = entries(sandbox);
  expect(others).toEqual([]);
  return join(sandbox.root, FILTER_CACHE, name);
}

export const KEPT: Outcome = { printed: "denied", compiled: false };
export const COMPILED: Outcome = { printed: "denied", compiled: true };
