import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Result } from "../runtime.ts";
import { type Docker, IMAGE } from "./docker.ts";

/** One project of docker compose. */
export interface Project {
  readonly directory: string;
  readonly project: string;
  (...args: readonly string[]): Promise<Result>;
  /** The same, which has to succeed: its output. */
  readonly ok: (...args: readonly string[]) => Promise<string>;
}

let projects = 0;

export function projectIn(
  docker: Docker,
  directory: string,
  env: Readonly<Record<string, string>> = {},
): Project {
  const name = `project-${++projects}`;
  const call = async (...args: readonly string[]): Promise<Result> => {
    const result = await docker.client(["compose", "--ansi", "never", "--project-name", name, ...args], {
      cwd: directory,
      env: { BUILDKIT_PROGRESS: "plain", COMPOSE_PROGRESS: "plain", ...env },
      timeoutMs: 1_000_000,
    });
    // Compose writes it in front of each line of a log, whatever --ansi says.
    return { ...result, stdout: result.stdout.replaceAll("\x1b[2K", "") };
  };
  const ok = async (...args: readonly string[]): Promise<string> => {
    const result = await call(...args);
    expect(result.code, `docker compose ${args.join(" ")}: ${result.stderr}${result.stdout}`).toBe(0);
    return result.stdout;
  };
  return Object.assign(call, { directory, project: name, ok });
}

/** A project with this compose.yaml and other files, up to its end: `down --volumes` has to take all of it away. */
export async function withProject(
  docker: Docker,
  yaml: string,
  body: (project: Project) => Promise<void>,
  files: Readonly<Record<string, string>> = {},
): Promise<void> {
  const directory = mkdtempSync(join(docker.directory, "project-"));
  for (const [name, text] of Object.entries({ "compose.yaml": yaml, ...files })) {
    mkdirSync(join(directory, name, ".."), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  const project = projectIn(docker, directory, { IMAGE });
  await body(project);
  await project.ok("down", "--volumes", "--timeout", "1", "--remove-orphans");
  const label = `label=com.docker.compose.project=${project.project}`;
  for (const kind of ["container", "network", "volume"]) {
    const list = kind === "container" ? ["ps", "--all"] : [kind, "ls"];
    expect((await docker.call(...list, "--quiet", "--filter", label)).stdout, kind).toBe("");
  }
}
