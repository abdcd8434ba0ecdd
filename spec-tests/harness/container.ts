import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Config } from "./config.ts";
import { asObject, parseObject } from "./json.ts";
import type { InvokeOptions, Result } from "./runtime.ts";

export type Status = "creating" | "created" | "running" | "paused" | "stopped";

export interface State {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: string;
  readonly pid: number;
  readonly bundle: string;
  readonly annotations: Readonly<Record<string, unknown>>;
}

export interface ContainerParts {
  readonly id: string;
  readonly bundle: string;
  readonly config: Config;
}

export interface CreateOptions extends Partial<InvokeOptions> {
  /** Options of the command, before the id. */
  readonly flags?: readonly string[];
  /** Options in front of the command. */
  readonly globals?: readonly string[];
}

/** Runs the commands of a container and has a place for their output: a sandbox. */
export interface Surroundings {
  invoke(args: readonly string[], options?: Partial<InvokeOptions>): Promise<Result>;
  path(name: string): string;
}

/** One bundle and its id, with the runtime's commands as methods. */
export class Container {
  readonly id: string;
  readonly bundle: string;
  readonly rootfs: string;
  readonly config: Config;
  readonly #surroundings: Surroundings;
  #stdout = "";

  constructor(surroundings: Surroundings, parts: ContainerParts) {
    this.#surroundings = surroundings;
    this.id = parts.id;
    this.bundle = parts.bundle;
    this.config = parts.config;
    this.rootfs = join(parts.bundle, "rootfs");
    this.writeConfig();
  }

  /** Writes config.json: the typed config, or any text. */
  writeConfig(text: string = JSON.stringify(this.config)): void {
    writeFileSync(join(this.bundle, "config.json"), text);
  }

  /** Puts a file into the rootfs; the old one is a hard link into the base, so it is not written through. */
  writeFile(path: string, text: string | Uint8Array, mode = 0o644): void {
    rmSync(join(this.rootfs, path), { force: true });
    writeFileSync(join(this.rootfs, path), text, { mode });
  }

  /** A file that the container was to write. */
  readFile(path: string): string {
    try {
      return readFileSync(join(this.rootfs, path), "utf8");
    } catch (cause) {
      throw new Error(`the container has written no ${path}`, { cause });
    }
  }

  /** The program's output so far: create's stdout, or a terminal's file. */
  printed(file: string = this.#stdout): string {
    return readFileSync(file, "utf8").trim();
  }

  create(options: CreateOptions = {}): Promise<Result> {
    this.#stdout = this.#surroundings.path(`${this.id}.stdout`);
    const { flags = [], globals = [], ...rest } = options;
    return this.#surroundings.invoke([...globals, "create", "--bundle", this.bundle, ...flags, this.id], {
      stdout: this.#stdout,
      ...rest,
    });
  }

  run(options: CreateOptions = {}): Promise<Result> {
    const { flags = [], globals = [], ...rest } = options;
    return this.#surroundings.invoke([...globals, "run", "--bundle", this.bundle, ...flags, this.id], rest);
  }

  start(): Promise<Result> {
    return this.#surroundings.invoke(["start", this.id]);
  }

  kill(...args: readonly string[]): Promise<Result> {
    return this.#surroundings.invoke(["kill", this.id, ...args]);
  }

  /** A further process; without a command it is all in the flags. */
  exec(command: readonly string[], options: CreateOptions = {}): Promise<Result> {
    const { flags = [], globals = [], ...rest } = options;
    return this.#surroundings.invoke([...globals, "exec", ...flags, this.id, ...command], rest);
  }

  delete(...flags: readonly string[]): Promise<Result> {
    return this.#surroundings.invoke(["delete", ...flags, this.id]);
  }

  stateCommand(): Promise<Result> {
    return this.#surroundings.invoke(["state", this.id]);
  }

  async state(): Promise<State> {
    const result = await this.stateCommand();
    if (result.code !== 0) throw new Error(`state failed with ${result.code}: ${result.stderr}`);
    const state = parseObject(result.stdout);
    return {
      ociVersion: String(state.ociVersion),
      id: String(state.id),
      status: String(state.status),
      pid: Number(state.pid),
      bundle: String(state.bundle),
      annotations: asObject(state.annotations ?? {}),
    };
  }

  /** Waits until `state` says so. */
  async until(status: Status): Promise<State> {
    for (const deadline = Date.now() + 20_000; ; await sleep(20)) {
      const state = await this.state();
      if (state.status === status) return state;
      if (Date.now() > deadline) throw new Error(`still ${state.status} after 20 s, not ${status}`);
    }
  }

  /** create that has to succeed. */
  async created(options: CreateOptions = {}): Promise<Result> {
    return succeed("create", await this.create(options));
  }

  /** create and start that have to succeed; the result is create's, whose output files the container writes to. */
  async started(options: CreateOptions = {}): Promise<Result> {
    const result = await this.created(options);
    succeed("start", await this.start());
    return result;
  }

  /** Runs the container to its end and returns the program's output. */
  async output(options: CreateOptions = {}): Promise<string> {
    return succeed("run", await this.run(options)).stdout;
  }
}

export function succeed(what: string, result: Result): Result {
  if (result.code !== 0)
    throw new Error(`${what} failed with ${result.code}: ${result.stderr || result.stdout}`);
  return result;
}
