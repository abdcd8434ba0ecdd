import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Config, defaultConfig } from "./config.ts";
import { Container } from "./container.ts";
import { type HostSnapshot, hostSnapshot, newTraces, removeTraces, TAG_PREFIX } from "./host/leftovers.ts";
import { baseRootfs, copyRootfs } from "./rootfs.ts";
import { type InvokeOptions, IS_RUNTS, invoke, type Result } from "./runtime.ts";

/** Entry of the state root with compiled seccomp filters, which stay on purpose. */
export const FILTER_CACHE = IS_RUNTS ? "@seccomp" : ".cache";

/** Entries of the state root that belong to no container: crun 1.28 also keeps an empty directory, to mount over others. */
export const OF_NO_CONTAINER: readonly string[] = [FILTER_CACHE, ...(IS_RUNTS ? [] : [".empty-directory"])];

/** Pid namespaces of several test runs have the same pids, and one cgroup hierarchy. */
const run = randomBytes(3).toString("hex");
let sandboxes = 0;

/** The surroundings of one test: a state root, bundles and a tag that all its traces on the host carry. */
export class Sandbox {
  readonly tag: string;
  readonly directory: string;
  readonly root: string;
  /** `$TMPDIR` of the runtime, empty again when the test is over. */
  readonly temporary: string;
  /** Stands in front of every command of the runtime: `host/user.ts` changes the user by it, `systemd/spec.ts` enters a host with systemd. */
  wrapper: readonly string[] = [];
  #before: HostSnapshot;
  readonly #containers: Container[] = [];
  readonly #cleanups: (() => void | Promise<void>)[] = [];

  constructor() {
    sandboxes += 1;
    this.tag = `${TAG_PREFIX}${run}-${sandboxes}z`;
    this.directory = mkdtempSync(join(tmpdir(), `${this.tag}-`));
    chmodSync(this.directory, 0o755); // containers in user namespaces reach their rootfs through it
    this.root = join(this.directory, "state");
    this.temporary = join(this.directory, "tmp");
    mkdirSync(this.temporary);
    this.#before = hostSnapshot(this.tag);
  }

  /** A bundle with its own rootfs and an id that nobody has; `mutate` changes the default config. */
  container(mutate: (config: Config) => void = () => undefined): Container {
    const name = `${this.tag}${this.#containers.length}`;
    const bundle = join(this.directory, name);
    mkdirSync(bundle);
    copyRootfs(baseRootfs(), join(bundle, "rootfs"));
    const config = defaultConfig();
    config.linux.cgroupsPath = `/${name}`;
    mutate(config);
    const container = new Container(this, { id: name, bundle, config });
    this.#containers.push(container);
    return container;
  }

  /** A container whose program is a line of shell. */
  shell(script: string, mutate: (config: Config) => void = () => undefined): Container {
    return this.container((config) => {
      config.process.args = ["sh", "-c", script];
      mutate(config);
    });
  }

  /** Runs the runtime with this sandbox's state root. */
  invoke(args: readonly string[], options: Partial<InvokeOptions> = {}): Promise<Result> {
    return invoke(["--root", this.root, ...args], {
      directory: this.directory,
      wrapper: this.wrapper,
      ...options,
      env: { TMPDIR: this.temporary, SPEC_TEST_TAG: this.tag, ...options.env },
    });
  }

  /** Runs any command. */
  run(command: readonly string[], options: Partial<InvokeOptions> = {}): Promise<Result> {
    const [runtime = "", ...args] = command;
    return invoke(args, {
      directory: this.directory,
      ...options,
      runtime,
      env: { TMPDIR: this.temporary, SPEC_TEST_TAG: this.tag, ...options.env },
    });
  }

  /** A file or folder of this test that does not exist yet. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** Live processes of this test, one line each. */
  processes(): readonly string[] {
    return hostSnapshot(this.tag).processes;
  }

  /** Takes a new snapshot: what the test has set up itself is not a trace of the runtime. */
  settle(): void {
    this.#before = hostSnapshot(this.tag);
  }

  atEnd(cleanup: () => void | Promise<void>): void {
    this.#cleanups.push(cleanup);
  }

  /** Lists what the test has left on the host; empty when everything was undone. Waits up to 20 s for the kernel. */
  async traces(): Promise<string[]> {
    for (const deadline = Date.now() + 20_000; ; await sleep(25)) {
      const found = [
        ...newTraces(this.#before, hostSnapshot(this.tag)),
        ...entries(this.root)
          .filter((name) => !OF_NO_CONTAINER.includes(name))
          .map((name) => `state root: ${name}`),
        ...entries(this.temporary).map((name) => `temporary file: ${name}`),
      ];
      if (found.length === 0 || Date.now() > deadline) return found;
    }
  }

  /** Deletes what is left, then looks whether that worked. */
  async close(): Promise<string[]> {
    const failures: string[] = [];
    for (const container of this.#containers) {
      if (!existsSync(join(this.root, container.id))) continue;
      const { code, stderr } = await container.delete("--force");
      if (code !== 0) failures.push(`delete --force exits with ${code}: ${stderr.trim()}`);
    }
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
    const traces = [...failures, ...(await this.traces())];
    if (traces.length > 0) removeTraces(this.tag);
    rmSync(this.directory, { recursive: true, force: true });
    return traces;
  }
}

function entries(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
