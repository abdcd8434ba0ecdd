import { setTimeout as sleep } from "node:timers/promises";
import { CONSOLE, ID } from "./bundles.ts";
import { difference, type Survived } from "./fallbacks.ts";
import type { Host, Look } from "./host.ts";

const HOOKS_LOST = /^\S+ level=warning msg="[^"]*config\.json[^"]*; no poststop hooks are run"\s*$/;

/** One bundle on one host: brings the container to the state that a command needs, and knows how host and container look without a fault. */
export class Scene {
  readonly host: Host;
  readonly bundle: string;
  readonly hasTerminal: boolean;
  /** The host without a container, and with the sleeping one. */
  #empty: Look = { lines: [], programs: 0 };
  #asleep: Look | undefined;
  #fds = "";
  #output = "";
  #execOutput = "";
  #namespaces: readonly string[] = [];

  constructor(host: Host, bundle: string) {
    this.host = host;
    this.bundle = bundle;
    this.hasTerminal = bundle === "rich";
  }

  get console(): string[] {
    return this.hasTerminal ? ["--console-socket", CONSOLE] : [];
  }

  createArgs(asleep: boolean, command: readonly string[] = ["create"]): string[] {
    const bundle = `/work/bundles/${this.bundle}${asleep ? " asleep" : ""}`;
    return [...command, "--bundle", bundle, ...this.console, ID];
  }

  get execArgs(): string[] {
    const terminal = this.hasTerminal ? ["--detach", "--tty", ...this.console] : [];
    return ["exec", ...terminal, ID, "sh", "/probe"];
  }

  /** Records host and container without a fault. Two rounds: the first container leaves mount points behind. */
  async learn(): Promise<void> {
    const { lines } = await this.host.look();
    this.#namespaces = lines
      .filter((line) => line.startsWith("namespace "))
      .map((line) => line.split(" ")[2] ?? "");
    for (const attempt of [1, 2]) {
      await this.succeed(this.createArgs(false));
      const { pid, fds } = await this.host.init(ID);
      this.#fds = fds;
      await this.succeed(["start", ID]);
      this.#output = this.#withoutNumbers(await this.host.output(pid));
      await this.succeed(["delete", ID]);
      // The kernel may not have freed the first container's BPF programs yet.
      if (attempt === 1) this.#empty = { ...(await this.host.look()), programs: 0 };
    }
    if (!this.#output.endsWith("done\n")) throw new Error(`the probe does not work: ${this.#output}`);
    const left = await this.changes(this.#empty);
    if (left.length > 0) throw new Error(`left without a fault: ${left.join("; ")}`);
    await this.startSleeping();
    this.#execOutput = await this.#outputOfExec((await this.succeed(this.execArgs)).stdout);
    await this.remove();
  }

  async succeed(args: readonly string[]) {
    const result = await this.host.run(args);
    if (result.code !== 0) throw new Error(`${args.join(" ")}: exit code ${result.code}, ${result.stderr}`);
    return result;
  }

  async create(): Promise<void> {
    await this.succeed(this.createArgs(false));
  }

  async startSleeping(): Promise<void> {
    await this.succeed(this.createArgs(true));
    await this.succeed(["start", ID]);
    await this.noteSleeping();
  }

  /** Notes what is there beside the sleeping container, which later changes are compared with. */
  async noteSleeping(): Promise<void> {
    const { programs } = await this.host.init(ID);
    this.#asleep = { ...(await this.host.look()), programs };
  }

  get isAsleep(): boolean {
    return this.#asleep !== undefined;
  }

  /** Compares the descriptors of init, which waits for `start`, with those without a fault. */
  async initDifference(): Promise<string | undefined> {
    const { fds } = await this.host.init(ID);
    return fds === this.#fds ? undefined : `init has the descriptors ${fds}, not ${this.#fds}`;
  }

  async outputDifference(pid: number, survived: Survived): Promise<string | undefined> {
    return difference(this.#output, this.#withoutNumbers(await this.host.output(pid)), survived);
  }

  runOutputDifference(stdout: string, survived: Survived): string | undefined {
    return difference(this.#output, this.#withoutNumbers(stdout), survived);
  }

  /**
   * A stub that is killed after its set-up can't be told from a program that is killed while it runs, so its output may be cut off.
   */
  async execOutputDifference(stdout: string, survived: Survived): Promise<string | undefined> {
    const output = await this.#outputOfExec(stdout);
    const isCutOff = survived.fault.mode === "kill-stub" && isBeginning(output, this.#execOutput);
    return isCutOff ? undefined : difference(this.#execOutput, output, survived);
  }

  async #outputOfExec(stdout: string): Promise<string> {
    return this.#withoutNumbers(this.hasTerminal ? await this.host.output(0) : stdout);
  }

  /** Replaces the numbers of namespaces by whether they are the host's. */
  #withoutNumbers(text: string): string {
    return text
      .replaceAll(/\w+:\[\d+\]/g, (link) => (this.#namespaces.includes(link) ? "the host's" : "its own"))
      .replaceAll(/\/proc\/\d+\//g, "/proc/PID/");
  }

  /**
   * Removes the container in whatever state it is. Returns unexpected output, and what is left on the host. If an earlier delete was
   * killed after it removed the config and before it ran the hooks, this one can only warn that it runs none (`mayLoseHooks`).
   */
  async remove(mayLoseHooks = false): Promise<string[]> {
    this.#asleep = undefined;
    const { code, stderr } = await this.host.run(["delete", "--force", ID]);
    const isSilent = stderr === "" || (mayLoseHooks && HOOKS_LOST.test(stderr));
    const said = code === 0 && isSilent ? [] : [`delete --force exits with ${code}: ${stderr}`];
    return [...said, ...(await this.changes(this.#empty))];
  }

  /** Changes by a command that must not have any effect on the sleeping container. */
  changesAsleep(): Promise<string[]> {
    return this.changes(this.#asleep ?? this.#empty);
  }

  /** Remains of the container after a command that should have removed it. */
  async left(): Promise<string | undefined> {
    const found = await this.changes(this.#empty);
    return found.length === 0 ? undefined : `left: ${found.join("; ")}`;
  }

  /** Whether nothing is left already. */
  async isEmpty(): Promise<boolean> {
    return changed(this.#empty, await this.host.look()).length === 0;
  }

  /** Waits for the kernel, which frees processes, cgroups and BPF programs with a delay. */
  async changes(before: Look): Promise<string[]> {
    for (const deadline = Date.now() + 20_000; ; await sleep(25)) {
      const found = changed(before, await this.host.look());
      if (found.length === 0 || Date.now() > deadline) return found;
    }
  }
}

function changed(before: Look, now: Look): string[] {
  return [
    ...now.lines.filter((line) => !before.lines.includes(line)),
    ...before.lines.filter((line) => !now.lines.includes(line)).map((line) => `missing: ${line}`),
    ...(now.programs === before.programs ? [] : [`BPF programs: ${now.programs}, not ${before.programs}`]),
  ];
}

/** Compares whole lines: the last line of `part` may be cut off. */
function isBeginning(part: string, whole: string): boolean {
  const lines = whole.split("\n");
  return part
    .split("\n")
    .slice(0, -1)
    .every((line, index) => line === lines[index]);
}
