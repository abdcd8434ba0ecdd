import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  type Dirent,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hostControllers } from "../host/host-controllers.ts";
import { allProcesses, childrenOf, textOf, wordsOf } from "../host/processes.ts";
import { baseRootfs } from "../rootfs.ts";
import { PATH, type Result, RUNTIME } from "../runtime.ts";
import { OF_NO_CONTAINER } from "../sandbox.ts";
import type { Machine } from "../systemd/systemd.ts";
import { configEditor } from "./config-editor.ts";
import { containerdSettings, IMAGE, PAUSE_IMAGE } from "./containerd-settings.ts";
import { Cri } from "./cri.ts";
import { type Check, type Engine, engineTests, lines, runCommand } from "./engine.ts";
import { writeOciArchive } from "./oci-archive.ts";

/**
 * The CRI asks for the least share of the processors for each sandbox, and some machines lack the controller for it: then every runtime
 * refuses.
 */
const WITHOUT_CPU_SHARES = configEditor('s/"cpu":{"shares":2}/"cpu":{}/');

export const CONTAINERD_PROGRAMS = { containerd: "containerd", ip: "iproute2" };

export function containerdTests(): Check<Containerd> {
  return engineTests({ who: "containerd", programs: CONTAINERD_PROGRAMS, open: () => Containerd.start() });
}

/**
 * The daemon's namespaces stay when it is started again: the pods' bridge is in the network namespace, the folder `shared` is a shared
 * mount, and a tmpfs takes what shims, runtimes and ctr put into /run whatever they are told.
 */
const NAMESPACES = `set -eu
ip link set lo up
mkdir -p /run/containerd
mount -t tmpfs tmpfs /run/containerd
mount --bind "$1/shared" "$1/shared"
mount --make-shared "$1/shared"
touch "$1/ready"
exec sleep infinity`;

/** containerd with its own storage, state, socket and namespaces. Its settings for the CRI are those of examples/. */
export class Containerd implements Engine {
  readonly directory = mkdtempSync(join(tmpdir(), "rspec-containerd-"));
  /** Namespace of ctr's containers, which is containerd's word for a set of names, and also their cgroup. */
  readonly namespace = `rspec-containerd-${process.pid}`;
  readonly cri = new Cri({ path: join(this.directory, "socket") });
  /** What the handler of the RuntimeClass calls. */
  readonly podRuntime = hostControllers().includes("cpu") ? RUNTIME : this.path("bin/without-cpu-shares");
  readonly machine: Machine | undefined;
  #namespaces: ChildProcess | undefined;
  #daemon: ChildProcess | undefined;
  #execs = 0;

  /** In a machine, containerd is a service of its systemd, which makes the pods' cgroups. */
  static async start(machine?: Machine): Promise<Containerd> {
    const engine = new Containerd(machine);
    await engine.#open();
    return engine;
  }

  private constructor(machine: Machine | undefined) {
    this.machine = machine;
  }

  async #open(): Promise<void> {
    chmodSync(this.directory, 0o755); // containers in user namespaces reach their rootfs through it
    for (const folder of ["bin", "cni", "logs", "shared"]) mkdirSync(this.path(folder));
    // ctr forgets --runc-binary where there is --uidmap: the shim then looks for this name.
    symlinkSync(RUNTIME, this.path("bin/runc"));
    const { directory, podRuntime: runtime } = this;
    if (runtime !== RUNTIME) writeFileSync(runtime, WITHOUT_CPU_SHARES, { mode: 0o755 });
    const systemdCgroup = this.machine !== undefined;
    writeFileSync(this.path("config.toml"), containerdSettings({ directory, runtime, systemdCgroup }));
    writeFileSync(this.path("cni/10-bridge.conflist"), JSON.stringify(network(this.directory)));
    await this.#makeNamespaces();
    await this.start();
    const archive = this.path("image.tar");
    writeOciArchive(archive, baseRootfs(), {
      [IMAGE]: { Cmd: ["sh"], Env: ["PATH=/bin:/usr/local/bin"] },
      [PAUSE_IMAGE]: { Cmd: ["sleep", "1000000"], Env: ["PATH=/bin"] },
    });
    for (const namespace of [this.namespace, "k8s.io"]) {
      const imported = await this.call("--namespace", namespace, "images", "import", archive);
      if (imported.code !== 0) throw new Error(`ctr images import failed: ${imported.stderr}`);
    }
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** One command of ctr. */
  call(...args: readonly string[]): Promise<Result> {
    return this.#command([...this.#ctr(), ...args]);
  }

  onTerminal(...args: readonly string[]): Promise<Result> {
    return this.#command([
      "python3",
      join(import.meta.dirname, "../helpers/on-terminal.py"),
      ...this.#ctr(),
      ...args,
    ]);
  }

  run(flags: readonly string[], id: string, ...command: readonly string[]): Promise<Result> {
    return this.call(...this.runWords(flags, id, ...command));
  }

  /** `ctr run` with the runtime under test. ctr asks for the default of cpu shares, whose controller the machine may lack. */
  runWords(flags: readonly string[], id: string, ...command: readonly string[]): string[] {
    return ["run", "--runc-binary", RUNTIME, "--cpu-shares", "0", ...flags, IMAGE, id, ...command];
  }

  /** Creates a container without a task. containerd looks the runtime up by the name runc, a link to the one under test. */
  create(id: string, ...command: readonly string[]): Promise<Result> {
    return this.call("containers", "create", IMAGE, id, ...command);
  }

  exec(id: string, ...command: readonly string[]): Promise<Result> {
    this.#execs += 1;
    return this.call("tasks", "exec", "--exec-id", `exec-${this.#execs}`, id, ...command);
  }

  /** Process id of a task's first process. */
  async pid(id: string): Promise<number> {
    const { stdout } = await this.call("tasks", "ls");
    const line = stdout.split("\n").find((text) => text.startsWith(`${id} `));
    return Number(line?.split(/\s+/)[1]);
  }

  /** Ends a task, if it is still there, and removes its container. */
  async remove(id: string): Promise<void> {
    await this.call("tasks", "rm", "--force", id);
    await this.call("containers", "rm", id);
  }

  /** One of the daemon's namespaces, as in `net:[4026531840]`. */
  ofDaemon(namespace: string): string {
    return readlinkSync(`/proc/${this.daemonPid}/ns/${namespace}`);
  }

  get daemonPid(): number {
    return this.#withoutNsenter(this.#daemon);
  }

  /** The process that containerd starts for a pod, and that starts the runtime. */
  shimOf(pod: string): number {
    const [shim] = this.#shims().filter(({ words }) => words.includes(pod));
    if (shim === undefined) throw new Error(`no shim of ${pod}`);
    return shim.pid;
  }

  /** Ends what containerd 2 may have left. */
  killShims(): void {
    for (const { pid } of this.#shims())
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself meanwhile.
      }
  }

  /** All files that containerd, shims, runtimes and the pods' network have made, and the mounts for containers. */
  traces(): string[] {
    return [
      ...["root", "state", "logs", "addresses"].flatMap((name) => entriesBelow(this.path(name))),
      ...entriesBelow(this.#runFolder),
      ...this.#mounts().map((path) => `mount ${path}`),
    ];
  }

  /** Cgroups of pods and containers, with those below. */
  cgroupsOfPods(): string[] {
    return this.cri.ids
      .map((id) => `/sys/fs/cgroup/k8s.io/${id}`)
      .filter((path) => existsSync(path))
      .flatMap((path) => [path, ...cgroupsBelow(path)]);
  }

  /** A command in the mount namespace of the daemon, where the folder `shared` is a shared mount. */
  besideDaemon(...command: readonly string[]): Promise<Result> {
    return this.#command(command);
  }

  /** The daemon ends and starts again; the shims and the containers go on. */
  async restart(): Promise<void> {
    await this.stop("SIGTERM");
    await this.start();
  }

  async left(): Promise<string[]> {
    const lists = [await this.call("tasks", "ls", "--quiet"), await this.call("containers", "ls", "--quiet")];
    const own = lists.flatMap(({ stdout }) => lines(stdout));
    const pods = [...(await this.cri.pods()), ...(await this.cri.containers())];
    const scopes = this.machine?.units("cri-containerd-*") ?? [];
    return [
      ...own,
      ...pods,
      ...this.cgroupsOfPods(),
      ...scopes,
      ...cgroupsBelow(join("/sys/fs/cgroup", this.namespace)),
      ...this.#shims().map(({ pid, words }) => `shim ${pid} ${words.join(" ")}`),
      ...this.#mounts().map((path) => `mount ${path}`),
      ...this.#states().map(({ id }) => `state ${id}`),
    ];
  }

  async clear(): Promise<void> {
    for (const pod of await this.cri.pods()) await this.cri.removePod(pod);
    const { stdout } = await this.call("containers", "ls", "--quiet");
    for (const id of lines(stdout)) await this.remove(id);
    this.killShims();
    for (const { root, id } of this.#states())
      await this.#command([RUNTIME, "--root", root, "delete", "--force", id]);
    // A peer's delete may have left cgroups, with processes in them.
    for (const cgroup of this.cgroupsOfPods().reverse()) {
      writeFileSync(join(cgroup, "cgroup.kill"), "1");
      for (let tries = 0; tries < 100 && textOf(join(cgroup, "cgroup.procs")) !== ""; tries++)
        await sleep(50);
      rmdirSync(cgroup);
    }
  }

  async close(): Promise<void> {
    await this.stop("SIGTERM");
    if (this.#namespaces !== undefined) await end(this.#namespaces, this.#holder, "SIGKILL");
    await this.machine?.stop();
    for (const name of [this.namespace, "k8s.io"]) removeUnused(`/sys/fs/cgroup/${name}`);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #ctr(): string[] {
    return ["ctr", "--address", this.path("socket"), "--namespace", this.namespace];
  }

  /** Runs a command where the daemon's mounts are. */
  #command(command: readonly string[]): Promise<Result> {
    const entry = ["nsenter", "--target", String(this.#holder), "--mount"];
    return runCommand([...entry, ...command], { env: this.#env() });
  }

  #env(): Record<string, string> {
    return { PATH: `${this.path("bin")}:${PATH}` };
  }

  async #makeNamespaces(): Promise<void> {
    const words = ["--net", "--mount", "--propagation", "private", "sh", "-c", NAMESPACES, "sh"];
    const command = [...(this.machine?.wrapper ?? []), "unshare", ...words, this.directory];
    this.#namespaces = this.#spawn(command);
    await this.#until(async () => existsSync(this.path("ready")), this.#namespaces, "no namespaces");
  }

  /** Starts the daemon, and waits until it answers. */
  async start(): Promise<void> {
    const ofMachine = this.machine === undefined ? [] : ["--pid", "--cgroup"];
    const entry = ["nsenter", "--target", String(this.#holder), "--net", "--mount", ...ofMachine];
    this.#daemon = this.#spawn([...entry, "containerd", "--config", this.path("config.toml")]);
    await this.#until(() => this.#isReady(), this.#daemon, "containerd does not answer");
  }

  #spawn([program = "", ...words]: readonly string[]): ChildProcess {
    const log = openSync(this.path("log"), "a");
    const child = spawn(program, words, { env: this.#env(), stdio: ["ignore", log, log] });
    closeSync(log);
    return child;
  }

  async #until(done: () => Promise<boolean>, child: ChildProcess, complaint: string): Promise<void> {
    for (let tries = 0; tries < 300 && child.exitCode === null; tries += 1) {
      if (await done()) return;
      await sleep(100);
    }
    child.kill("SIGKILL");
    throw new Error(`${complaint}:\n${readFileSync(this.path("log"), "utf8").slice(-2000)}`);
  }

  async #isReady(): Promise<boolean> {
    if ((await this.call("version")).code !== 0) return false;
    return this.cri.pods().then(
      () => true,
      () => false,
    );
  }

  /** Ends the daemon with a signal; the shims and the containers go on. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.#daemon !== undefined) await end(this.#daemon, this.daemonPid, signal);
  }

  /** The process that holds the daemon's namespaces. */
  get #holder(): number {
    return this.#withoutNsenter(this.#namespaces);
  }

  /** In a machine, nsenter has entered the pid namespace by a child. */
  #withoutNsenter(child: ChildProcess | undefined): number {
    const pid = child?.pid ?? 0;
    return this.machine === undefined ? pid : (childrenOf(pid)[0] ?? 0);
  }

  get #runFolder(): string {
    return `/proc/${this.#holder}/root/run/containerd`;
  }

  /** The shims that this daemon has started, with their command lines. */
  #shims(): { readonly pid: number; readonly words: readonly string[] }[] {
    return allProcesses()
      .map((pid) => ({ pid, words: wordsOf(pid) }))
      .filter(({ words }) => words[0]?.includes("containerd-shim") && words.includes(this.path("socket")));
  }

  /** Mounts of the daemon's mount namespace that belong to containers. */
  #mounts(): string[] {
    return lines(textOf(`/proc/${this.#holder}/mountinfo`))
      .map((line) => line.split(" ")[4] ?? "")
      .filter((path) => path.startsWith(this.path("state")) || path.startsWith("/run/containerd/"));
  }

  /** Containers that the runtime knows. */
  #states(): { readonly root: string; readonly id: string }[] {
    const roots = join(this.#runFolder, "runc");
    const namespaces = existsSync(roots) ? readdirSync(roots) : [];
    return namespaces.flatMap((name) =>
      readdirSync(join(roots, name))
        .filter((entry) => !OF_NO_CONTAINER.includes(entry))
        .map((id) => ({ root: join("/run/containerd/runc", name), id })),
    );
  }
}

/** Sends a signal to `pid`, which is the child or one that it waits for, and waits for its end. */
async function end(child: ChildProcess, pid: number, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  process.kill(pid, signal);
  await ended;
}

/** A bridge with its own addresses; what is given to whom is kept in the tests' folder. */
function network(directory: string): unknown {
  const ipam = {
    type: "host-local",
    dataDir: join(directory, "addresses"),
    ranges: [[{ subnet: "10.88.77.0/24" }]],
  };
  const bridge = { type: "bridge", bridge: "cni-spec", isGateway: true, ipam };
  return { cniVersion: "1.0.0", name: "spec-test", plugins: [bridge, { type: "loopback" }] };
}

/** Another containerd may have its pods in the same cgroup. */
function removeUnused(cgroup: string): void {
  try {
    rmdirSync(cgroup);
  } catch (error) {
    if (existsSync(cgroup) && cgroupsBelow(cgroup).length === 0) throw error;
  }
}

function cgroupsBelow(cgroup: string): string[] {
  return entriesBelow(cgroup, true);
}

/** All that is below a folder, or only the folders. What is removed while we look is left out. */
function entriesBelow(folder: string, onlyFolders = false): string[] {
  return foundIn(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? [path, ...entriesBelow(path, onlyFolders)] : onlyFolders ? [] : [path];
  });
}

function foundIn(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}
