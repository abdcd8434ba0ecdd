import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config, Seccomp } from "../config.ts";
import type { Container } from "../container.ts";
import type { Sandbox } from "../sandbox.ts";

/** Profiles that `--seccomp-record` writes. */

export const ONLY_RUNTS = { both: "has no such option" };

export function profileIn(file: string): Seccomp {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** Calls that a profile allows, by rule: those with all arguments, or each with its comparison. */
export function allowed({ syscalls = [] }: Seccomp): string[] {
  return syscalls.filter(({ args }) => args === undefined).flatMap(({ names }) => names);
}

/** The names of the first rule: the calls that were made, without those that any start needs. */
export function made({ syscalls = [] }: Seccomp): readonly string[] {
  return syscalls[0]?.names ?? [];
}

export function withProfile(container: Container, profile: Seccomp): void {
  container.config.linux.seccomp = profile;
  container.writeConfig();
}

/** A container without a profile of its own. */
export function plainShell(
  sandbox: Sandbox,
  script: string,
  mutate: (config: Config) => void = () => undefined,
) {
  return sandbox.shell(script, (config) => {
    delete config.linux.seccomp;
    mutate(config);
  });
}

export async function until(text: string, printed: () => string): Promise<void> {
  for (const deadline = Date.now() + 20_000; printed() !== text; await sleep(20))
    if (Date.now() > deadline) throw new Error(`still ${printed()} after 20 s, not ${text}`);
}
