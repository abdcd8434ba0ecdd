import { spawnSync } from "node:child_process";
import { RUNTIME, which } from "../runtime.ts";

/** What a runtime that was killed can leave on the host. */
export const KINDS = ["process", "mount", "cgroup", "state", "file"] as const;
export type Kind = (typeof KINDS)[number];

/** The runtimes that are compared: the one under test, and its peers. */
export const SUBJECTS: readonly string[] = [
  RUNTIME,
  ...["crun", "runc"].flatMap((name) => which(name) ?? []),
];

/** For each kill of a runtime, the kinds of what was left. */
export type Outcomes = readonly ReadonlySet<Kind>[];

/** A table in Markdown. `outcomes` has the kills of a runtime by its path. */
export function tableOfKills(title: string, outcomes: ReadonlyMap<string, Outcomes>): string {
  const rows = [...outcomes].map(([path, kills]) => [
    versionLine(path),
    kills.length,
    kills.filter((left) => left.size === 0).length,
    ...KINDS.map((kind) => kills.filter((left) => left.has(kind)).length),
  ]);
  const heading = ["", "killed", "nothing left", ...KINDS.map((kind) => `a ${kind} left`)];
  const lines = [heading, heading.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return `\n${title}\n\n${lines.join("\n")}\n`;
}

function versionLine(path: string): string {
  return spawnSync(path, ["--version"], { encoding: "utf8" }).stdout.split("\n")[0] ?? "";
}
