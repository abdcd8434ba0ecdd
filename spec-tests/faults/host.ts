import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Config } from "../harness/config.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { baseRootfs, copyRootfs } from "../harness/rootfs.ts";
import { bundles, PROBE } from "./bundles.ts";

/** The executable of the test build: `node scripts/build.mjs --faults`. */
export const FAULTY = join(import.meta.dirname, "../../dist-faults/runts");
const IMAGE = "runts-warm";

/** Whether commands start warm: the build wrote an image, and RUNTS_COLD=1 does not forbid its use. */
export function startsWarm(): boolean {
  return !process.env.RUNTS_COLD && existsSync(join(dirname(FAULTY), IMAGE));
}

/** The JSON of the test build's option `--fault`: see scripts/faults/injection.ts. */
export interface Fault {
  readonly at: number;
  readonly mode: "fail" | "kill-runtime" | "kill-stub" | "stall" | "list";
  readonly errno: number;
  readonly victim?: number;
}

/** The operation that the fault hit, as the test build reports it. */
export interface Operation {
  readonly side: string;
  readonly call: string;
  readonly path: string;
  readonly purpose: string;
  readonly pointer: string;
  readonly guarded: boolean;
}

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** undefined: the command ended before the operation with that number. */
  readonly operation: Operation | undefined;
}

export interface Look {
  readonly lines: readonly string[];
  readonly programs: number;
}

/** An isolated host for one walk: namespaces, a cgroup and a root file system, with the worker in them. */
export class Host {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #work: string;
  readonly #ended: Promise<number | null>;

  private constructor() {
    this.#work = mkdtempSync(join(tmpdir(), "rspec-faults-"));
    chmodSync(this.#work, 0o755);
    copyRootfs(baseRootfs(), join(this.#work, "rootfs"));
    writeFileSync(join(this.#work, "rootfs/probe"), PROBE, { mode: 0o755 });
    mkdirSync(join(this.#work, "rootfs/shared"));
    for (const { name, config } of bundles(Math.floor(Math.random() * 1_000_000))) {
      this.#writeBundle(name, config);
      this.#writeBundle(`${name} asleep`, {
        ...config,
        process: { ...config.process, args: ["sleep", "1000"] },
      });
      const { devices, hugepageLimits } = {
        devices: [],
        hugepageLimits: undefined,
        ...config.linux.resources,
      };
      const more = { allow: true, type: "c", major: 1, minor: 3, access: "rw" };
      const change = { devices: [...devices, more], ...(hugepageLimits !== undefined && { hugepageLimits }) };
      writeFileSync(join(this.#work, "bundles", name, "update.json"), JSON.stringify(change));
    }
    copyFileSync(join(import.meta.dirname, "worker.py"), join(this.#work, "worker.py"));
    const installation = join(this.#work, "runts");
    install(installation);
    const surroundings = join(import.meta.dirname, "../fuzz/surroundings.sh");
    const args = [this.#cgroup, installation, this.#work, "python3", "/work/worker.py", "/runts/runts"];
    this.#child = spawn(surroundings, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#ended = new Promise((resolve) => this.#child.once("close", resolve));
    if (this.#child.stdout === null) throw new Error("the worker has no output");
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Throws if commands should start warm, but don't. */
  static async start(): Promise<Host> {
    const host = new Host();
    for (const args of startsWarm() ? [["warm"], ["warm", "--check"]] : []) {
      const { code, stdout, stderr } = await host.run(args);
      if (code !== 0) throw new Error(`${args.join(" ")}: ${stdout}${stderr}`);
    }
    return host;
  }

  get #cgroup(): string {
    return join("/sys/fs/cgroup", basename(this.#work));
  }

  #writeBundle(name: string, config: Config): void {
    const folder = join(this.#work, "bundles", name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  }

  async run(args: readonly string[], fault?: Fault): Promise<Result> {
    const { operations, ...result } = await this.#run(args, fault);
    return { ...result, operation: operations[0] };
  }

  /** All operations of a command that succeeds, in their order. */
  async operations(args: readonly string[]): Promise<readonly Operation[]> {
    const { code, stderr, operations } = await this.#run(args, { at: 0, mode: "list", errno: 0 });
    if (code !== 0) throw new Error(`${args.join(" ")}: exit code ${code}, ${stderr}`);
    return operations;
  }

  async #run(args: readonly string[], fault: Fault | undefined) {
    const options =
      fault === undefined ? [] : [`--fault=${JSON.stringify({ ...fault, report: "/tmp/report" })}`];
    const answer = await this.#ask({ do: "run", args: [...options, ...args] });
    const { code, stdout, stderr, operations } = answer;
    return {
      code: Number(code),
      stdout: String(stdout),
      stderr: String(stderr),
      operations: Array.isArray(operations) ? operations.map(asObject).map(operationOf) : [],
    };
  }

  async look(): Promise<Look> {
    const { lines, programs } = await this.#ask({ do: "look" });
    return { lines: Array.isArray(lines) ? lines.map(String) : [], programs: Number(programs) };
  }

  /** The container's first process. */
  async init(id: string): Promise<{ readonly pid: number; readonly fds: string; readonly programs: number }> {
    const { pid, fds, programs } = await this.#ask({ do: "init", id });
    return { pid: Number(pid), fds: JSON.stringify(fds), programs: Number(programs) };
  }

  /** Waits for the end of the container's init, and returns all that it printed. */
  async output(pid: number): Promise<string> {
    return String((await this.#ask({ do: "output", pid })).text);
  }

  async #ask(request: object): Promise<Record<string, unknown>> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error("the worker has ended");
    return parseObject(value);
  }

  /** Ends the worker, and with it every process of its pid namespace. */
  async close(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
    rmSync(this.#work, { recursive: true, force: true });
    for (const path of [join(this.#cgroup, "worker"), this.#cgroup]) await removeCgroup(path);
  }
}

/** Installs the executable anew, since an image fits one path only and lies beside it. Makes hard links if possible: the engine is large. */
function install(directory: string): void {
  mkdirSync(directory);
  for (const name of readdirSync(dirname(FAULTY)).filter((file) => file !== IMAGE)) {
    const [from, to] = [join(dirname(FAULTY), name), join(directory, name)];
    try {
      linkSync(from, to);
    } catch {
      copyFileSync(from, to); // The temporary folder is on another file system.
    }
  }
}

function operationOf(facts: Record<string, unknown>): Operation {
  const { side, call, path = "", purpose = "", pointer = "", guarded = false } = facts;
  const [sideText, callText, pathText] = [String(side), String(call), String(path)];
  const about = { purpose: String(purpose), pointer: String(pointer), guarded: guarded === true };
  return { side: sideText, call: callText, path: pathText, ...about };
}

async function removeCgroup(path: string): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  throw new Error(`${path} can't be removed`);
}
