import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { childrenOf } from "../host/processes.ts";
import { archiveBaseRootfs } from "../rootfs.ts";
import { PATH, type Result } from "../runtime.ts";
import { clientIn, containerCgroups, end, IMAGE, prepareFolder, states } from "./docker.ts";
import { type Check, type CommandOptions, type Engine, engineTests, lines, runCommand } from "./engine.ts";

/** The nodes by their names and addresses; the first is the manager. */
export const NODES = { node1: "10.20.0.11", node2: "10.20.0.12", node3: "10.20.0.13" } as const;
export type NodeName = keyof typeof NODES;
export const NAMES: readonly NodeName[] = ["node1", "node2", "node3"];

/** The network between the nodes. */
const SWITCH = `set -eu
ip link set lo up
ip link add switch type bridge
ip addr add 10.20.0.1/24 dev switch
ip link set switch up
touch "$1/ready"
exec sleep infinity`;

/** A machine, as far as dockerd can see: it waits for its network interface. Its /run is gone when it has been killed, as after a crash. */
const NODE = `set -eu
directory=$1 name=$2 address=$3
mount --make-rshared /
mount -t tmpfs tmpfs /run
echo "$name" > /proc/sys/kernel/hostname
ip link set lo up
until ip link show uplink >/dev/null 2>&1; do sleep 0.05; done
ip addr add "$address/24" dev uplink
ip link set uplink up
ip route add default via 10.20.0.1
dockerd --config-file "$directory/daemon.json" &
wait`;

export function swarmTests(): Check<Swarm> {
  const programs = { dockerd: "docker.io", docker: "docker-cli", ip: "iproute2" };
  return engineTests({
    who: "docker swarm",
    programs,
    open: async () => {
      const swarm = new Swarm();
      try {
        await swarm.open();
      } catch (error) {
        await swarm.close();
        throw error;
      }
      return swarm;
    },
  });
}

/** Three dockerd on one machine, each with namespaces as if it had a machine of its own, and a switch between them. */
export class Swarm implements Engine {
  readonly directory = mkdtempSync(join(tmpdir(), "rspec-swarm-"));
  readonly #nodes = new Map<NodeName, ChildProcess>();
  #switch: ChildProcess | undefined;

  async open(): Promise<void> {
    const words = ["--net", "sh", "-c", SWITCH, "sh", this.directory];
    this.#switch = spawn("unshare", words, { env: { PATH }, stdio: "ignore" });
    await until(async () => existsSync(join(this.directory, "ready")), "no switch");
    for (const name of NAMES) {
      const folder = this.#folder(name);
      mkdirSync(folder);
      const settings = { "exec-root": "/run/docker", pidfile: "/run/docker.pid" };
      prepareFolder(folder, this.#cgroup(name), { settings });
    }
    await Promise.all(NAMES.map((name) => this.startNode(name)));
    const archive = archiveBaseRootfs(this.directory);
    await Promise.all(NAMES.map((name) => this.ok(name, "import", "--change", 'CMD ["sh"]', archive, IMAGE)));
    await this.ok("node1", "swarm", "init", "--advertise-addr", NODES.node1);
    const token = (await this.ok("node1", "swarm", "join-token", "--quiet", "worker")).trim();
    for (const name of NAMES.slice(1)) await this.ok(name, "swarm", "join", "--token", token, NODES.node1);
  }

  /** A command of the client on one node. */
  on(name: NodeName, args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return clientIn(this.#folder(name))(args, options);
  }

  /** One that has to succeed: its output. */
  async ok(name: NodeName, ...args: readonly string[]): Promise<string> {
    const result = await this.on(name, args);
    if (result.code !== 0) throw new Error(`docker ${args.join(" ")} on ${name}: ${result.stderr}`);
    return result.stdout;
  }

  /** A command of the client on the manager, which has to succeed: its output. */
  manager(...args: readonly string[]): Promise<string> {
    return this.ok("node1", ...args);
  }

  /** A program in the network of a node. */
  beside(name: NodeName, ...command: readonly string[]): Promise<Result> {
    return runCommand(["nsenter", "--target", String(this.#init(name)), "--net", ...command]);
  }

  /** A new folder with these files. */
  folderWith(files: Readonly<Record<string, string>>): string {
    const folder = mkdtempSync(join(this.directory, "files-"));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return folder;
  }

  async startNode(name: NodeName): Promise<void> {
    const folder = this.#folder(name);
    const namespaces = ["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const words = ["--propagation", "private", "sh", "-c", NODE, "sh", folder, name, NODES[name]];
    const log = join(folder, "log");
    const output = openSync(log, "a");
    const env = { PATH: `${folder}/bin:${PATH}`, HOME: join(folder, "client") };
    const stdio: ["ignore", number, number] = ["ignore", output, output];
    this.#nodes.set(name, spawn("unshare", [...namespaces, ...words], { env, stdio }));
    closeSync(output);
    await until(async () => this.#init(name) !== 0, `no namespaces of ${name}`);
    await this.#connect(name);
    const answers = async (): Promise<boolean> => (await this.on(name, ["version"])).code === 0;
    await until(answers, `dockerd of ${name} does not answer`, () => readFileSync(log, "utf8").slice(-4000));
  }

  /** All processes of the node end at once, and its network is gone, like pulling the plug. */
  async killNode(name: NodeName): Promise<void> {
    const node = this.#nodes.get(name);
    const ended = new Promise((resolve) => node?.once("exit", resolve));
    node?.kill("SIGKILL");
    await ended;
    this.#nodes.delete(name);
    await this.#removeCgroups(name);
  }

  async left(): Promise<string[]> {
    const listed = async (kind: string, name: NodeName, ...args: string[]): Promise<string[]> =>
      lines(await this.ok(name, ...args)).map((entry) => `${name}: ${kind} ${entry}`);
    const shared = [
      listed("service", "node1", "service", "ls", "--quiet"),
      listed("secret", "node1", "secret", "ls", "--quiet"),
      listed("config", "node1", "config", "ls", "--quiet"),
    ];
    const ofNodes = [...this.#nodes.keys()].flatMap((name) => [
      listed("container", name, "ps", "--all", "--quiet"),
      listed("volume", name, "volume", "ls", "--quiet"),
      listed("network", name, "network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").then(
        (networks) => networks.filter((line) => !/ (ingress|docker_gwbridge)$/.test(line)),
      ),
      Promise.resolve(
        states(`/proc/${this.#init(name)}/root/run/docker/runtime-runc/moby`).map(
          (id) => `${name}: state ${id}`,
        ),
      ),
      Promise.resolve(
        containerCgroups(join("/sys/fs/cgroup", this.#cgroup(name))).map((id) => `${name}: cgroup ${id}`),
      ),
    ]);
    return (await Promise.all([...shared, ...ofNodes])).flat();
  }

  async clear(): Promise<void> {
    for (const name of NAMES) if (!this.#nodes.has(name)) await this.startNode(name);
    for (const kind of ["service", "secret", "config"]) {
      const ids = lines(await this.manager(kind, "ls", "--quiet"));
      if (ids.length > 0) await this.manager(kind, "rm", ...ids);
    }
    await until(
      async () => (await Promise.all(NAMES.map((name) => this.ok(name, "ps", "--quiet")))).join("") === "",
      "tasks run without a service",
    );
    for (const name of NAMES) await this.ok(name, "network", "prune", "--force");
  }

  async close(): Promise<void> {
    for (const name of this.#nodes.keys()) await this.killNode(name);
    await end(this.#switch);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #folder(name: NodeName): string {
    return join(this.directory, name);
  }

  #cgroup(name: NodeName): string {
    return `/${basename(this.directory)}-${name}`;
  }

  /** Process id of the first process in a node's pid namespace, or 0. */
  #init(name: NodeName): number {
    return childrenOf(this.#nodes.get(name)?.pid ?? 0)[0] ?? 0;
  }

  /** Plugs a cable into the node and the switch. */
  async #connect(name: NodeName): Promise<void> {
    const inSwitch = ["nsenter", "--target", String(this.#switch?.pid), "--net", "ip", "link"];
    const peer = ["type", "veth", "peer", "name", "uplink", "netns", String(this.#init(name))];
    for (const words of [
      ["add", `to-${name}`, ...peer],
      ["set", `to-${name}`, "master", "switch", "up"],
    ]) {
      const { code, stderr } = await runCommand([...inSwitch, ...words]);
      if (code !== 0) throw new Error(`ip link ${words.join(" ")}: ${stderr}`);
    }
  }

  /** Those of a killed node, as soon as the kernel has ended the processes in them. */
  async #removeCgroups(name: NodeName): Promise<void> {
    const cgroup = `/sys/fs/cgroup${this.#cgroup(name)}`;
    // A dockerd that did not start has made none.
    const remove = `[ ! -e ${cgroup} ] || find ${cgroup} -depth -type d -exec rmdir {} +`;
    await until(
      async () => (await runCommand(["sh", "-c", remove])).code === 0,
      `cgroups of ${name} are in use`,
    );
  }
}

async function until(done: () => Promise<boolean>, complaint: string, why = (): string => ""): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await done()); await sleep(100))
    if (Date.now() > deadline) throw new Error(`${complaint}\n${why()}`);
}
