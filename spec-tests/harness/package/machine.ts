import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { defaultConfig } from "../config.ts";
import { childrenOf } from "../host/processes.ts";
import { archiveBaseRootfs, baseRootfs } from "../rootfs.ts";
import { invoke, type Result } from "../runtime.ts";

/** Joins the machine's cgroup, which is outside of what its own commands can see, and executes the command in its namespaces. */
const ENTER = `echo $$ >"$1/init.scope/cgroup.procs" && pid=$2 && shift 2 &&
  exec nsenter --target "$pid" --mount --pid --net --uts --ipc --cgroup -- "$@"`;

/** Where a machine has the tests' own files. */
export const PLACE = "/srv/test";
export const IMAGE = "localhost/spec-test:latest";

/** What the package managers and podman write themselves, caches and logs, and the tests' own files. */
const NOT_COMPARED = [
  PLACE,
  "/etc/ld.so.cache",
  "/run/containers",
  "/run/libpod",
  "/run/lock",
  "/run/netns",
  "/tmp",
  "/var/cache",
  "/var/lib/apt",
  "/var/lib/containers",
  "/var/lib/dpkg",
  "/var/lib/rpm",
  "/var/log",
];

/** Prints directories and links with their modes, and files with a sum of their contents. */
const LIST_FILES = `
pruned="-false"
for path in ${NOT_COMPARED.join(" ")}; do pruned="$pruned -o -path $path"; done
set -- / /run -xdev '(' $pruned ')' -prune
find "$@" -o ! -type f -printf '%p %M %u:%g %l\\n'
find "$@" -o -type f -exec sha256sum {} +`;

/** What pid 1 of a machine is. */
export type Init = "shell" | "systemd";

/** A machine of its own with the copy of a root file system: `machine.sh`. */
export class Machine {
  readonly #directory: string;
  readonly #cgroup: string;
  readonly #process: ChildProcess;
  #init = 0;

  private constructor(release: string, system: string, init: Init) {
    this.#directory = mkdtempSync(join(tmpdir(), "rspec-machine-"));
    this.#cgroup = `/sys/fs/cgroup/rspec-machine-${randomBytes(3).toString("hex")}`;
    const words = [join(release, system), join(release, "packages"), this.#cgroup, init];
    this.#process = spawn(join(import.meta.dirname, "machine.sh"), words, {
      stdio: ["ignore", "pipe", "inherit"],
    });
  }

  /** Starts a machine for one test. `release` is a folder of scripts/debian-roots.mjs, `system` a name in it. */
  static async start(release: string, system: string, init: Init): Promise<Machine> {
    const machine = new Machine(release, system, init);
    onTestFinished(() => machine.#end(), 60_000);
    const [line] = await Promise.race([once(machine.#output, "data"), once(machine.#process, "exit")]);
    if (String(line) !== "ready\n") throw new Error(`the machine has not started: ${line}`);
    const [pid] = childrenOf(machine.#process.pid ?? 0);
    if (pid === undefined) throw new Error("the machine has ended");
    machine.#init = pid;
    await machine.#booted(init);
    return machine;
  }

  /** Waits until pid 1 has made its cgroup, and systemd has started its services. */
  async #booted(init: Init): Promise<void> {
    for (const limit = Date.now() + 60_000; !existsSync(join(this.#cgroup, "init.scope")); await sleep(50))
      if (Date.now() > limit) throw new Error("pid 1 of the machine makes no cgroup");
    if (init === "systemd")
      await this.shell("until systemctl is-active --quiet multi-user.target 2>/dev/null; do sleep 0.2; done");
  }

  get #output(): NodeJS.ReadableStream {
    if (this.#process.stdout === null) throw new Error("the machine has no output");
    return this.#process.stdout;
  }

  /** The machine's root directory, for the host. */
  get #root(): string {
    return `/proc/${this.#init}/root`;
  }

  /** Runs a command to its end. What it leaves running may keep its output. */
  run(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Result> {
    const words = ["-c", ENTER, "sh", this.#cgroup, String(this.#init), ...command];
    return invoke(words, {
      directory: this.#directory,
      runtime: "sh",
      timeoutMs: 120_000,
      env: { HOME: "/root", LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive", ...env },
    });
  }

  /** Runs a command that has to succeed, and returns its output. */
  async output(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, env);
    if (code !== 0) throw new Error(`${command.join(" ")} exits with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Runs a line of shell that has to succeed. */
  shell(script: string): Promise<string> {
    return this.output(["sh", "-euc", script]);
  }

  /** Puts a file of the host into the machine's folder for tests, and returns its path there. */
  give(file: string): string {
    const path = join(PLACE, basename(file));
    mkdirSync(join(this.#root, PLACE), { recursive: true });
    copyFileSync(file, join(this.#root, path));
    return path;
  }

  /**
   * Makes the image of the tests' own root file system, for podman and buildah: no registry can be reached. Their limits are such as the
   * host of the tests allows, which may lack the pids controller and CAP_SYS_RESOURCE.
   */
  async importImage(): Promise<void> {
    const limits = 'pids_limit = 0\ndefault_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]\n';
    writeFileSync(join(this.#root, "etc/containers/containers.conf"), `[containers]\n${limits}`);
    const archive = archiveBaseRootfs(this.#directory);
    await this.output(["podman", "import", "--change", "CMD=sh", this.give(archive), IMAGE]);
  }

  /** Makes a bundle, whose program is a line of shell, and returns its path in the machine. */
  bundle(name: string, script: string): string {
    const path = join(PLACE, name);
    const folder = join(this.#root, path);
    mkdirSync(folder, { recursive: true });
    execFileSync("cp", ["-a", baseRootfs(), join(folder, "rootfs")]);
    const config = defaultConfig();
    config.process.args = ["sh", "-c", script];
    config.linux.cgroupsPath = `/${name}`;
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    return path;
  }

  /** Lists all that is in the file systems, but for NOT_COMPARED. */
  async files(): Promise<readonly string[]> {
    return (await this.shell(LIST_FILES)).trimEnd().split("\n").sort();
  }

  async #end(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGKILL");
      await once(this.#process, "exit");
    }
    for (const limit = Date.now() + 20_000; !tryRemoveTree(this.#cgroup); await sleep(50))
      if (Date.now() > limit) throw new Error(`${this.#cgroup} can't be removed`);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function tryRemoveTree(cgroup: string): boolean {
  try {
    for (const entry of readdirSync(cgroup, { withFileTypes: true }))
      if (entry.isDirectory() && !tryRemoveTree(join(cgroup, entry.name))) return false;
    rmdirSync(cgroup);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT";
  }
  return true;
}
