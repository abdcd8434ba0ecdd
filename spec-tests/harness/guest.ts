import { type ChildProcess, spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyRootfs } from "./rootfs.ts";
import { type Result, which } from "./runtime.ts";

export const LINUX = which("linux.uml");

const INIT = join(import.meta.dirname, "guest-init.sh");
const MEMORY_BYTES = 512 << 20;
const DISK_BYTES = 64 << 20;
const BOOT_MS = 60_000;

/**
 * A user-mode-linux kernel as a process of this host, which has what the host may lack: a cgroup v2 with the cpu, io, memory and pids
 * controllers, swap (/dev/ubda) and a disk (/dev/ubdb). Node would be far too slow in there, so that only commands run in it.
 */
export class Guest {
  /** Of the host; `/run/exchange` in the guest. */
  readonly exchange: string;
  readonly #kernel: ChildProcess;
  readonly #waiting = new Map<number, (code: number) => void>();
  #commands = 0;
  #console = "";
  #rest = "";

  private constructor(linux: string) {
    this.exchange = mkdtempSync(join(tmpdir(), "rspec-guest-"));
    const disks = ["swap", "disk"].map((name) => join(this.exchange, name));
    for (const file of disks) {
      writeFileSync(file, "");
      truncateSync(file, DISK_BYTES);
    }
    copyRootfs(join(process.env.SPEC_TEST_BASE ?? "", "rootfs"), join(this.exchange, "rootfs"));
    mkdirSync(join(this.exchange, "uml"));
    const args = [
      `mem=${MEMORY_BYTES >> 20}M`,
      ...disks.map((file, index) => `ubd${index}=${file}`),
      ...["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", `init=${INIT}`],
      ...["con=null", "con0=fd:0,fd:1", `uml_dir=${join(this.exchange, "uml")}`, `exchange=${this.exchange}`],
    ];
    // The guest's memory is a file in TMPDIR. Without a process group of its own, a Ctrl-C would reach the kernel's many processes.
    const env = { ...process.env, TMPDIR: memoryFolder(this.exchange) };
    this.#kernel = spawn(linux, args, { stdio: ["pipe", "pipe", "pipe"], env, detached: true });
    for (const stream of [this.#kernel.stdout, this.#kernel.stderr])
      stream?.setEncoding("latin1").on("data", (text: string) => this.#read(text));
    // A kernel that is gone can't be written to, which says nothing beside its end.
    this.#kernel.stdin?.on("error", () => undefined);
    this.#kernel.once("exit", () => {
      for (const done of this.#waiting.values()) done(-1);
    });
  }

  static async boot(): Promise<Guest> {
    if (LINUX === undefined) throw new Error("no linux.uml: apt-get install user-mode-linux");
    const guest = new Guest(LINUX);
    const code = await guest.#answer(0, BOOT_MS);
    if (code === 0) return guest;
    await guest.stop();
    throw new Error(`the guest did not boot:\n${guest.#console}`);
  }

  /** Runs a script of sh in the guest. Commands run one after the other. */
  async run(script: string, timeoutMs = 60_000): Promise<Result> {
    this.#commands += 1;
    const number = this.#commands;
    const file = join(this.exchange, String(number));
    writeFileSync(`${file}.sh`, script);
    const answer = this.#answer(number, timeoutMs + 10_000);
    this.#kernel.stdin?.write(`${number} ${Math.ceil(timeoutMs / 1000)}\n`);
    const code = await answer;
    if (code < 0) throw new Error(`the guest does not answer to: ${script}\n${this.#console.slice(-4000)}`);
    return { code, stdout: readFileSync(`${file}.out`, "utf8"), stderr: readFileSync(`${file}.err`, "utf8") };
  }

  /** What a script prints, without the last line end. It has to succeed. */
  async output(script: string, timeoutMs?: number): Promise<string> {
    const { code, stdout, stderr } = await this.run(script, timeoutMs);
    if (code !== 0) throw new Error(`${script}: exit code ${code}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** As pulling the plug: nothing of the guest is needed any more. */
  async stop(): Promise<void> {
    const { pid, exitCode, signalCode } = this.#kernel;
    if (pid !== undefined && exitCode === null && signalCode === null) {
      const ended = new Promise((resolve) => this.#kernel.once("exit", resolve));
      process.kill(-pid, "SIGKILL");
      await ended;
    }
    rmSync(this.exchange, { recursive: true, force: true });
  }

  /** Exit code of a command, -1 where no answer comes. */
  #answer(number: number, timeoutMs: number): Promise<number> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(-1), timeoutMs);
      this.#waiting.set(number, (code) => {
        clearTimeout(timer);
        this.#waiting.delete(number);
        resolve(code);
      });
    });
  }

  /** The kernel writes its own messages in between. */
  #read(text: string): void {
    this.#console += text;
    const lines = (this.#rest + text).split(/\r?\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, number, code] = /done (\d+) (\d+)$/.exec(line) ?? [];
      if (number !== undefined) this.#waiting.get(Number(number))?.(Number(code));
    }
  }
}

/** In memory, where there is room for all of it: a mapped file that can't grow ends in SIGBUS. */
function memoryFolder(otherwise: string): string {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    return bavail * bsize > 2 * MEMORY_BYTES ? "/dev/shm" : otherwise;
  } catch {
    return otherwise;
  }
}
