import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../config.ts";
import type { Container, CreateOptions } from "../container.ts";
import type { Deviations } from "../peers.ts";
import { IS_RUNTS, type Result, RUNTIME_NAME, which } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";
import { type Body, spec } from "../spec.ts";

let problem: string | undefined;
let asked = false;

/** Why criu can't work here; undefined where it can. */
export function criuProblem(): string | undefined {
  if (asked) return problem;
  asked = true;
  // Their default, where criu saves and multiplies the cgroups of all v1 hierarchies: tens of thousands, after some tests.
  if (!IS_RUNTS && readFileSync("/proc/self/cgroup", "utf8").trim().includes("\n"))
    problem = `${RUNTIME_NAME} would have criu make v1 cgroups of this hybrid host`;
  else if (which("criu") === undefined) problem = "criu is not installed: apt-get install criu";
  else {
    const { status, stdout, stderr } = spawnSync("criu", ["check"], { encoding: "utf8" });
    if (status !== 0) problem = `criu check: ${stderr || stdout}`;
  }
  return problem;
}

/** Whether criu and the kernel can do what `criu check --feature` names. */
export function hasFeature(name: string): boolean {
  return spawnSync("criu", ["check", "--feature", name]).status === 0;
}

/** A requirement that needs a criu which works. */
export function criuSpec(title: string, clause: string, body: Body, deviations?: Deviations): void {
  spec(
    title,
    clause,
    async (sandbox, context) => {
      const reason = criuProblem();
      if (reason !== undefined) context.skip(reason);
      await body(sandbox, context);
    },
    deviations,
  );
}

/** Starts a container on /dev/null: criu can't save streams that lead out of the container. */
export const NO_STREAMS: CreateOptions = {
  stdout: "/dev/null",
  wrapper: ["sh", "-c", 'exec "$@" 2>/dev/null', "sh"],
};

/**
 * A line of shell that counts, each number once, where the link /tmp/count leads to: it has no file open that is gone when criu
 * looks for it, since the program has run on, or was restored twice.
 */
export const COUNT =
  "i=0; while :; do i=$((i+1)); ln -sfn $i /tmp/count.new; mv /tmp/count.new /tmp/count; sleep 0.02; done";

/** A started container whose program can be saved; /tmp is a directory of the rootfs, which stays. */
export async function counting(
  sandbox: Sandbox,
  mutate: (config: Config) => void = () => undefined,
): Promise<Container> {
  return startedShell(sandbox, COUNT, mutate);
}

export async function startedShell(
  sandbox: Sandbox,
  script: string,
  mutate: (config: Config) => void = () => undefined,
  options: CreateOptions = NO_STREAMS,
): Promise<Container> {
  const container = sandbox.shell(script, (config) => {
    config.root.readonly = false;
    mutate(config);
  });
  await container.started(options);
  return container;
}

/** Mounts the host's programs and libraries, for what busybox has not. */
export function withHostPrograms(config: Config): void {
  for (const path of ["/usr", "/lib", "/lib64"].filter((folder) => existsSync(folder)))
    config.mounts.push({
      destination: path,
      type: "bind",
      source: path,
      options: ["bind", "ro", "rprivate"],
    });
}

export function count(container: Container): number {
  try {
    return Number(readlinkSync(join(container.rootfs, "tmp/count")));
  } catch {
    return 0;
  }
}

/** Waits until the count is above a number, and returns it. */
export async function countAbove(container: Container, number: number): Promise<number> {
  await expect.poll(() => count(container)).toBeGreaterThan(number);
  return count(container);
}

/** Directories of one checkpoint; criu's logs are in `work`. */
export interface Images {
  readonly images: string;
  readonly work: string;
  readonly flags: readonly string[];
  log(name: "dump.log" | "restore.log"): string;
}

export function imagesIn(sandbox: Sandbox, name = "checkpoint"): Images {
  const directory = sandbox.path(name);
  const [images, work] = [`${directory}/images`, `${directory}/work`];
  mkdirSync(work, { recursive: true });
  return {
    images,
    work,
    flags: ["--image-path", images, "--work-path", work],
    log: (file) => readFileSync(`${work}/${file}`, "utf8"),
  };
}

export function checkpoint(
  sandbox: Sandbox,
  container: Container,
  { flags }: Images,
  ...more: readonly string[]
): Promise<Result> {
  return sandbox.invoke(["checkpoint", ...flags, ...more, container.id]);
}

export function restore(
  sandbox: Sandbox,
  container: Container,
  { flags }: Images,
  more: readonly string[] = [],
  options: CreateOptions = NO_STREAMS,
): Promise<Result> {
  const { flags: _, globals: __, ...invocation } = options;
  const words = ["restore", "--bundle", container.bundle, "--detach", ...flags, ...more, container.id];
  return sandbox.invoke(words, invocation);
}

/** The command did what it should; criu's own words otherwise. */
export function succeeded(result: Result, images: Images, log: "dump.log" | "restore.log"): void {
  if (result.code === 0) return;
  let text = "";
  try {
    text = images
      .log(log)
      .split("\n")
      .filter((line) => line.includes("Error"))
      .join("\n");
  } catch {
    // criu has not got so far.
  }
  throw new Error(`exit code ${result.code}: ${result.stderr}\n${text}`);
}

/** Both steps in turn, which have to succeed. */
export async function saveAndRestore(
  sandbox: Sandbox,
  container: Container,
  more: readonly string[] = [],
): Promise<Images> {
  const images = imagesIn(sandbox);
  succeeded(await checkpoint(sandbox, container, images, ...more), images, "dump.log");
  succeeded(await restore(sandbox, container, images, more), images, "restore.log");
  return images;
}
