import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
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
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hostControllers } from "../host/host-controllers.ts";
import { baseRootfs } from "../rootfs.ts";
import { PATH, type Result, RUNTIME } from "../runtime.ts";
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

/** containerd with its own storage, state, socket and network namespace. Its settings for the CRI are those of examples/. */
export class Containerd implements Engine {
  readonly directory = mkdtempSync(join(tmpdir(), "rspec-containerd-"));
  /** Namespace of ctr's containers, which is containerd's word for a set of names, and also their cgroup. */
  readonly namespace = `rspec-containerd-${process.pid}`;
  readonly cri = new Cri({ path: join(this.directory, "socket") });
  /** What the handler of the RuntimeClass calls. */
  readonly podRuntime = hostControllers().includes("cpu") ? RUNTIME : this.path("bin/without-cpu-shares");
  readonly machine: Machine | undefined;
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
    await this.#start();
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
    return readlinkSync(`/proc/${this.#pid}/ns/${namespace}`);
  }

  /** A command in the mount namespace of the daemon, where the folder `shared` is a shared mount. */
  besideDaemon(...command: readonly string[]): Promise<Result> {
    return this.#command(["nsenter", "--target", String(this.#pid), "--mount", ...command]);
  }

  /** The daemon ends and starts again; the shims and the containers go on. */
  async restart(): Promise<void> {
    await this.#stop();
    await this.#start();
  }

  async left(): Promise<string[]> {
    const lists = [await this.call("tasks", "ls", "--quiet"), await this.call("containers", "ls", "--quiet")];
    const own = lists.flatMap(({ stdout }) => lines(stdout));
    const pods = [...(await this.cri.pods()), ...(await this.cri.containers())];
    const cgroups = this.cri.ids.filter((id) => existsSync(`/sys/fs/cgroup/k8s.io/${id}`));
    const scopes = this.machine?.units("cri-containerd-*") ?? [];
    return [...own, ...pods, ...cgroups, ...scopes, ...cgroupsBelow(this.namespace)];
  }

  async clear(): Promise<void> {
    for (const pod of await this.cri.pods()) await this.cri.removePod(pod);
    const { stdout } = await this.call("containers", "ls", "--quiet");
    for (const id of lines(stdout)) await this.remove(id);
  }

  async close(): Promise<void> {
    await this.#stop();
    await this.machine?.stop();
    for (const name of [this.namespace, "k8s.io"]) removeUnused(`/sys/fs/cgroup/${name}`);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #ctr(): string[] {
    return ["ctr", "--address", this.path("socket"), "--namespace", this.namespace];
  }

  #command(command: readonly string[]): Promise<Result> {
    return runCommand(command, { env: this.#env() });
  }

  #env(): Record<string, string> {
    return { PATH: `${this.path("bin")}:${PATH}` };
  }

  /** Starts containerd in its own network namespace, where it makes the bridge of the pods' network, and with a shared mount. */
  async #start(): Promise<void> {
    const log = openSync(this.path("log"), "a");
    const script =
      'ip link set lo up; mount --bind "$1" "$1"; mount --make-shared "$1"; exec containerd --config "$2"';
    const words = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
    const inMachine = [...(this.machine?.wrapper ?? []), ...words];
    const [program = "", ...args] = [...inMachine, this.path("shared"), this.path("config.toml")];
    const daemon = spawn(program, args, {
      env: this.#env(),
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    this.#daemon = daemon;
    for (let tries = 0; tries < 300 && daemon.exitCode === null; tries += 1) {
      if (await this.#isReady()) return;
      await sleep(100);
    }
    daemon.kill("SIGKILL");
    throw new Error(`containerd does not answer:\n${readFileSync(this.path("log"), "utf8").slice(-2000)}`);
  }

  async #isReady(): Promise<boolean> {
    if ((await this.call("version")).code !== 0) return false;
    return this.cri.pods().then(
      () => true,
      () => false,
    );
  }

  async #stop(): Promise<void> {
    if (this.#daemon === undefined || this.#daemon.exitCode !== null) return;
    const ended = once(this.#daemon, "exit");
    process.kill(this.#pid, "SIGTERM");
    await ended;
  }

  /** Of containerd. In a machine, nsenter has entered the pid namespace by a child. */
  get #pid(): number {
    const pid = this.#daemon?.pid ?? 0;
    if (this.machine === undefined) return pid;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
  }
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
    if (existsSync(cgroup) && cgroupsBelow(basename(cgroup)).length === 0) throw error;
  }
}

function cgroupsBelow(name: string): string[] {
  const folder = join("/sys/fs/cgroup", name);
  const entries = existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [];
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(name, entry.name));
}
