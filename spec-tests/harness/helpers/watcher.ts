import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { asObject, parseObject } from "../json.ts";
import type { Sandbox } from "../sandbox.ts";

/** Something of the host in sight of a container, or a mount that has changed after it appeared: as watcher/ reports it. */
export type Finding = Readonly<Record<string, string>>;

/** The watcher's report on a command. */
export interface Watched {
  readonly findings: readonly Finding[];
  /** Processes and threads of the runtime. */
  readonly processes: number;
  /** Those processes that somebody in a container could see. */
  readonly inSight: number;
  /** Descriptors that were judged, at the begin and the end of each system call. */
  readonly descriptors: number;
  /** Mounts that have appeared. */
  readonly mounts: number;
  /** Why descriptors and links were judged harmless. */
  readonly held: readonly string[];
}

export interface WatchOptions {
  /** Descriptors after standard error that the caller hands over. */
  readonly keepFds?: number;
  /** The process whose mounts are watched. */
  readonly mountsOf?: number;
}

/** A command of the runtime that is watched by ptrace(2). */
export interface Watch {
  /** Stands in front of the command, as the last of several wrappers. */
  readonly wrapper: readonly string[];
  /** Waits until each of its processes has ended, or executes a program that is not the runtime's. */
  watched(): Promise<Watched>;
}

const SOURCES = join(import.meta.dirname, "watcher");

/** Static, so that it runs in guests and starts fast there. */
export function buildWatcher(program: string): void {
  const files = ["main.c", "descriptors.c", "mounts.c", "places.c"].map((name) => join(SOURCES, name));
  execFileSync("gcc", ["-static", "-O2", "-Wall", "-Wno-unused-result", "-o", program, ...files]);
}

let watches = 0;

export function startWatch(sandbox: Sandbox, { keepFds = 0, mountsOf = 0 }: WatchOptions = {}): Watch {
  const program = join(process.env.SPEC_TEST_BASE ?? "", `watcher-${process.pid}`);
  if (!existsSync(program)) buildWatcher(program);
  watches += 1;
  const report = sandbox.path(`watched-${watches}`);
  return {
    wrapper: [program, report, String(keepFds), String(mountsOf)],
    watched: async () => {
      const read = () => (existsSync(report) ? readFileSync(report, "utf8") : "");
      await expect.poll(read).toMatch(/\}\}\n$|"failed":true/);
      return parseReport(read());
    },
  };
}

/** One line for each finding, and the last for the whole. */
export function parseReport(text: string): Watched {
  const lines = text.trim().split("\n").map(parseObject);
  const failure = lines.find(({ failed }) => failed === true);
  if (failure !== undefined) throw new Error(`the watcher failed: ${JSON.stringify(failure)}`);
  const { processes, inSight, descriptors, mounts, held } = lines.pop() ?? {};
  const findings = lines.map((line) =>
    Object.fromEntries(Object.entries(line).map(([key, value]) => [key, String(value)])),
  );
  return {
    findings,
    processes: Number(processes),
    inSight: Number(inSight),
    descriptors: Number(descriptors),
    mounts: Number(mounts),
    held: Object.keys(asObject(held)),
  };
}

/**
 * Whether the finding is the waiting init's socket that `start` connects to, or the connection. SIOCUNIXFILE gives one file, which is no
 * directory, holds nothing, and is in a directory that only the runtime may enter.
 */
function isStartSocket({ why, call }: Finding): boolean {
  return why === "a unix socket with a file: SIOCUNIXFILE leads there" && call === "accept4";
}

/** Findings but those that have to be. */
export function findingsOf({ findings }: Watched): readonly Finding[] {
  return findings.filter((finding) => !isStartSocket(finding));
}
