import type { ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { baseRootfs, copyRootfs } from "../rootfs.ts";
import type { Result } from "../runtime.ts";
import { consoleFile, type GuestKernel } from "./kernel.ts";

/** On a busy machine the emulated processor is slow. */
export const BOOT_MS = 280_000;

/** The guest is at fault, and not the runtime in it: judged-test.ts does not take this for a verdict on a peer. */
export class GuestError extends Error {}

/**
 * A kernel that has what the host's may lack, booted on the host's own file system. Node would be far too slow in there, so that only
 * commands run in it.
 */
export class Guest {
  readonly kernel: GuestKernel;
  /** Folder of the host, which is `/run/exchange` in the guest. */
  readonly exchange: string;
  /** Whether it can be used further. */
  answers = true;
  readonly #processes: readonly [ChildProcess, ...ChildProcess[]];
  readonly #waiting = new Map<number, (code: number) => void>();
  #commands = 0;
  /** The output of the terminal, and of qemu. */
  #printed = "";
  #rest = "";

  private constructor(kernel: GuestKernel) {
    this.kernel = kernel;
    // Lies in the folder that is removed after the last test.
    this.exchange = mkdtempSync(join(process.env.SPEC_TEST_BASE ?? "", "guest-"));
    // Users of the guest look into it.
    chmodSync(this.exchange, 0o755);
    copyRootfs(baseRootfs(), join(this.exchange, "rootfs"));
    this.#processes = kernel.start(this.exchange);
    const [machine] = this.#processes;
    for (const stream of [machine.stdout, machine.stderr])
      stream?.setEncoding("latin1").on("data", (text: string) => this.#read(text));
    // A kernel that is gone can't be written to, which says nothing beside its end.
    machine.stdin?.on("error", () => undefined);
    machine.once("exit", () => {
      this.answers = false;
      for (const done of this.#waiting.values()) done(-1);
    });
  }

  static async boot(kernel: GuestKernel, timeoutMs = BOOT_MS): Promise<Guest> {
    const guest = new Guest(kernel);
    const code = await guest.#answer(0, timeoutMs);
    if (code === 0) {
      if (existsSync(join(guest.exchange, "cold")))
        console.warn(`${kernel.name}: "runts warm" fails there, so all commands start cold`);
      return guest;
    }
    await guest.stop();
    throw new GuestError(`the guest did not boot:\n${guest.#traces()}`);
  }

  /** Runs a script of sh in the guest. Commands run one after the other. */
  async run(script: string, timeoutMs = 60_000): Promise<Result> {
    if (!this.answers) throw new GuestError(`the guest has ended:\n${this.#traces()}`);
    this.#commands += 1;
    const number = this.#commands;
    const file = join(this.exchange, String(number));
    writeFileSync(`${file}.sh`, script);
    const answer = this.#answer(number, timeoutMs + 10_000);
    this.#processes[0].stdin?.write(`${number} ${Math.ceil(timeoutMs / 1000)}\n`);
    const code = await answer;
    if (code < 0) {
      await this.stop();
      throw new GuestError(`the guest does not answer to: ${script}\n${this.#traces()}`);
    }
    return { code, stdout: readFileSync(`${file}.out`, "utf8"), stderr: readFileSync(`${file}.err`, "utf8") };
  }

  /** Runs a script that has to succeed, and returns its output without the last line end. */
  async output(script: string, timeoutMs?: number): Promise<string> {
    const { code, stdout, stderr } = await this.run(script, timeoutMs);
    if (code !== 0) throw new Error(`${script}: exit code ${code}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** Ends the guest at once, like pulling the plug. */
  async stop(): Promise<void> {
    this.answers = false;
    await Promise.all(this.#processes.map(kill));
  }

  /** The last output of the terminal, of qemu and of the console. */
  #traces(): string {
    const file = consoleFile(this.exchange);
    const console = existsSync(file) ? readFileSync(file, "latin1") : "";
    return `${this.#printed.slice(-1000)}\nconsole:\n${console.slice(-4000)}`;
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

  #read(text: string): void {
    this.#printed += text;
    const lines = (this.#rest + text).split(/\r?\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, number, code] = /done (\d+) (\d+)\r*$/.exec(line) ?? [];
      if (number !== undefined) this.#waiting.get(Number(number))?.(Number(code));
    }
  }
}

/** Kills the process with all that it has started: each is its own process group. */
async function kill(child: ChildProcess): Promise<void> {
  const { pid, exitCode, signalCode } = child;
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  process.kill(-pid, "SIGKILL");
  await ended;
}
