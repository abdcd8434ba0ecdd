import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { archiveBaseRootfs } from "../rootfs.ts";
import { type Result, RUNTIME, RUNTIME_NAME } from "../runtime.ts";
import { type Check, type Engine, engineTests, lines, runCommand } from "./engine.ts";

/** podman with its own storage, state, networks and settings, and an image made of the tests' rootfs: no registry is asked. */
export interface Podman extends Engine {
  readonly directory: string;
  /** One command of podman; `run` and `create` get --network none and the runtime. */
  call(...args: readonly string[]): Promise<Result>;
  /** The same below another command, which gets podman's as its last words. */
  below(outer: readonly string[], ...args: readonly string[]): Promise<Result>;
}

export const IMAGE = "localhost/spec-test:latest";

/** Whose podman it is, and what stands in front of its commands. */
export interface PodmanOptions {
  /** Another user than root, whose podman it is. */
  readonly user?: number;
  /** Runs the words after it, as that user. */
  readonly wrapper?: (directory: string) => readonly string[];
  readonly close?: () => void;
}

/** The tests of one file share one podman. `who` says whose it is, in the titles. */
export function podmanTests(who = "podman", open: () => Promise<Podman> = () => openPodman()): Check<Podman> {
  return engineTests({ who, programs: { podman: "podman" }, open });
}

/** A container from its start to its end. */
export function run(engine: Podman, ...args: string[]): Promise<Result> {
  return engine.call("run", "--rm", ...args);
}

export async function openPodman({ user, wrapper, close }: PodmanOptions = {}): Promise<Podman> {
  const directory = mkdtempSync(join(tmpdir(), "rspec-podman-"));
  chmodSync(directory, 0o755); // containers in user namespaces reach their rootfs through it
  // Pid namespaces of several test runs have the same pids, and one cgroup hierarchy.
  const parent = `rspec-podman-${randomBytes(3).toString("hex")}`;
  writeFileSync(join(directory, "containers.conf"), settings(directory));
  writeFileSync(join(directory, "storage.conf"), '[storage]\ndriver = "vfs"\n');
  for (const folder of ["root", "run", "tmp", "home", "xdg"]) {
    mkdirSync(join(directory, folder), { mode: folder === "xdg" ? 0o700 : 0o755 });
    if (user !== undefined) chownSync(join(directory, folder), user, user);
  }
  if (user !== undefined) chownSync(directory, user, user);
  const before = wrapper?.(directory) ?? [];
  const globals = ["--root", "root", "--runroot", "run", "--tmpdir", "tmp"].map((word) =>
    word.startsWith("-") ? word : join(directory, word),
  );
  const env = {
    HOME: join(directory, "home"),
    TMPDIR: join(directory, "tmp"),
    ...(user !== undefined && { XDG_RUNTIME_DIR: join(directory, "xdg") }),
    CONTAINERS_CONF: join(directory, "containers.conf"),
    CONTAINERS_STORAGE_CONF: join(directory, "storage.conf"),
  };
  const below = (outer: readonly string[], ...args: readonly string[]): Promise<Result> => {
    const storage = ["--storage-driver", "vfs", "--runtime", RUNTIME];
    const command = user === undefined ? withParent(args, `/${parent}`) : args;
    return runCommand([...outer, ...before, "podman", ...globals, ...storage, ...command], { env });
  };
  const call = (...args: readonly string[]): Promise<Result> => below([], ...args);
  const imported = await call("import", "--change", "CMD=sh", archiveBaseRootfs(directory), IMAGE);
  if (imported.code !== 0) throw new Error(`podman import failed: ${imported.stderr}`);
  /** Folders of cgroups that are left below podman's parent cgroup. */
  const cgroups = (): string[] => folders(`/sys/fs/cgroup/${parent}`);
  const clear = async (): Promise<void> => {
    await call("rm", "--all", "--force", "--time", "0");
    // A conmon may have something to do yet.
    for (const limit = Date.now() + 20_000; !cgroups().reverse().every(tryRmdir); await sleep(50))
      if (Date.now() > limit) throw new Error(`these cgroups can't be removed: ${cgroups().join(" ")}`);
  };
  return {
    directory,
    call,
    below,
    left: async () => [
      ...lines((await call("ps", "--all", "--quiet")).stdout),
      ...cgroups().filter((path) => path.includes("libpod-")),
    ],
    clear,
    close: async () => {
      await clear();
      // The process that keeps the namespaces of a user's podman.
      if (user !== undefined) await call("system", "migrate");
      close?.();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** No pids limit, since the controller may be missing; JSON errors for a runtime whose name podman does not know. */
function settings(directory: string): string {
  return [
    "[containers]",
    "pids_limit = 0",
    'netns = "none"',
    'log_driver = "k8s-file"',
    "[engine]",
    'cgroup_manager = "cgroupfs"',
    'events_logger = "file"',
    `events_logfile_path = "${join(directory, "events")}"`,
    'lock_type = "file"',
    `runtime_supports_json = ["crun", "runc", "${RUNTIME_NAME}"]`,
    `static_dir = "${join(directory, "static")}"`,
    `runtime_supports_nocgroup = ["crun", "${RUNTIME_NAME}"]`,
    `volume_path = "${join(directory, "volumes")}"`,
    "[network]",
    `network_config_dir = "${join(directory, "networks")}"`,
    "",
  ].join("\n");
}

/** Containers are in a cgroup of these tests, where what is left is found. Those of a pod are in the pod's. */
function withParent(args: readonly string[], parent: string): readonly string[] {
  const [first = "", ...rest] = args;
  if (!["run", "create"].includes(first) || rest.some((word) => /^--(pod|cgroups)\b/.test(word))) return args;
  return [first, "--cgroup-parent", parent, ...rest];
}

function tryRmdir(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

function folders(path: string): string[] {
  try {
    const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [path, ...below.flatMap((entry) => folders(join(path, entry.name)))];
  } catch {
    return [];
  }
}
