import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lines, runCommand } from "../engines/engine.ts";
import { childrenOf } from "../host/processes.ts";
import { PATH, type Result, RUNTIME } from "../runtime.ts";
import { Kubectl } from "./kubectl.ts";
import { CONTROL_ADDRESS, HOME, KUBECONFIG, LOGS, NODES, PROGRAMS } from "./places.ts";

/** The name of examples/kubernetes/runtimeclass.yaml, and the one that Kubernetes' own tests give a configured handler. */
export const HANDLERS = ["runts", "test-handler"];

const NAMESPACES = ["--mount", "--net", "--uts", "--ipc", "--pid", "--cgroup"];

type Daemon = "containerd" | "kube-proxy" | "kubelet";

/**
 * A node of the cluster: a machine of its own, as far as namespaces make one, with containerd, kubelet and kube-proxy. Everything about it is in
 * files, so that any worker of vitest may stop and start it.
 */
export class Node {
  readonly name: string;
  readonly address: string;
  readonly #number: number;
  readonly #directory: string;
  readonly #cgroup: string;

  constructor(number: number) {
    this.#number = number;
    this.name = `node${number}`;
    this.address = `10.10.0.${number}`;
    this.#directory = join(HOME, this.name);
    this.#cgroup = join("/sys/fs/cgroup", this.name);
  }

  /** Boots the machine and starts its daemons. The kubelet tells the cluster when the node is ready. */
  async start(images: readonly string[]): Promise<void> {
    await this.#boot();
    await this.#connect();
    await this.startContainerd();
    for (const image of images) await this.#ok("ctr", ...this.#ctr, "images", "import", image);
    this.#daemon("kube-proxy", this.#proxyWords());
    this.startKubelet();
  }

  /** Waits until the cluster uses the node. */
  async ready(): Promise<void> {
    const cluster = new Kubectl();
    // kubectl refuses to wait for an object that is not there yet.
    for (let tries = 0; (await cluster.call("get", "node", this.name)).code !== 0; tries += 1) {
      if (tries === 300) throw new Error(`the kubelet does not register: ${tail(`${this.name}-kubelet`)}`);
      await sleep(200);
    }
    await cluster.ok("wait", "--for=condition=Ready", `node/${this.name}`, "--timeout=120s");
  }

  /** Ends the machine with all of its processes, as a power cut does. */
  async kill(): Promise<void> {
    process.kill(this.#pid(), "SIGKILL");
    while (existsSync(`/proc/${this.#pid()}`)) await sleep(50);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async startContainerd(): Promise<void> {
    this.#daemon("containerd", ["containerd", "--config", join(this.#directory, "containerd.toml")]);
    for (let tries = 0; (await this.call("ctr", ...this.#ctr, "version")).code !== 0; tries += 1) {
      if (tries === 300) throw new Error(`containerd of ${this.name} does not answer`);
      await sleep(100);
    }
  }

  startKubelet(): void {
    this.#daemon("kubelet", this.#kubeletWords());
  }

  /** Ends one daemon; what it has started goes on. */
  async stop(daemon: Daemon): Promise<void> {
    const pid = readFileSync(this.#pidFile(daemon), "utf8").trim();
    await this.#ok("sh", "-c", `kill "$0"; while [ -e "/proc/$0" ]; do sleep 0.1; done`, pid);
  }

  /** A command on the node, in all of its namespaces. */
  call(...command: readonly string[]): Promise<Result> {
    return runCommand(this.#inside(command), { timeoutMs: 120_000 });
  }

  /** IDs of the containers that containerd has, those of pods' sandboxes among them. */
  async containers(): Promise<string[]> {
    return lines(await this.#ok("ctr", ...this.#ctr, "containers", "ls", "--quiet"));
  }

  /** Those of them that run. */
  async runningContainers(): Promise<string[]> {
    const tasks = lines(await this.#ok("ctr", ...this.#ctr, "tasks", "ls"));
    return tasks.filter((line) => line.endsWith("RUNNING"));
  }

  /** IDs of the containers that the runtime under test has, for pods without a RuntimeClass or of the RuntimeClass with this handler. */
  async runtimeContainers(handler = "default"): Promise<string[]> {
    const root = join(this.#runtimeRoot(handler), "k8s.io");
    const { code, stdout } = await this.call(RUNTIME, "--root", root, "list", "--quiet");
    return code === 0 ? lines(stdout) : [];
  }

  async #boot(): Promise<void> {
    mkdirSync(this.#directory, { recursive: true });
    mkdirSync(join(this.#cgroup, "system"), { recursive: true });
    const kept = [process.cwd(), PROGRAMS, dirname(RUNTIME)];
    const script = join(import.meta.dirname, "node.sh");
    const ofNode = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const words = ["unshare", ...ofNode, "--propagation", "private", script, this.#directory, ...kept];
    // The node's cgroup namespace begins above the cgroup of its daemons, beside which pods have theirs.
    const inCgroup = this.#enteringCgroup(".", [
      "unshare",
      "--cgroup",
      ...this.#enteringCgroup("system", words),
    ]);
    const machine = this.#start("machine", inCgroup);
    while (!existsSync(join(this.#directory, "booted"))) {
      if (machine.exitCode !== null)
        throw new Error(`${this.name} does not boot: ${tail(`${this.name}-machine`)}`);
      await sleep(20);
    }
    const [init] = childrenOf(machine.pid ?? 0);
    if (init === undefined) throw new Error(`${this.name} has ended`);
    writeFileSync(join(this.#directory, "machine.pid"), String(init));
    writeFileSync(join(this.#directory, "containerd.toml"), this.#containerdSettings());
    mkdirSync(join(this.#directory, "cni"));
    writeFileSync(join(this.#directory, "cni/10-bridge.conflist"), JSON.stringify(this.#network()));
  }

  /** A cable to the bridge beside the control plane, and routes to the pods of the other nodes. */
  async #connect(): Promise<void> {
    const cable = `cable${this.#number}`;
    const own = [
      "ip",
      "link",
      "add",
      cable,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      String(this.#pid()),
    ];
    await outside(...own);
    await outside("ip", "link", "set", cable, "master", "nodes", "up");
    await outside("ip", "route", "replace", this.#podNetwork(), "via", this.address);
    const others = allNodes().filter(({ name }) => name !== this.name);
    const script = [
      'hostname "$0"',
      "ip link set lo up",
      `ip address add ${this.address}/24 dev eth0`,
      "ip link set eth0 up",
      `ip route add default via ${CONTROL_ADDRESS}`,
      ...others.map((node) => `ip route add ${node.#podNetwork()} via ${node.address}`),
      "echo 1 >/proc/sys/net/ipv4/ip_forward",
      "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet",
    ];
    await this.#ok("sh", "-ec", script.join("\n"), this.name);
  }

  #podNetwork(): string {
    return `10.99.${this.#number}.0/24`;
  }

  #network(): unknown {
    const ipam = {
      type: "host-local",
      dataDir: join(this.#directory, "addresses"),
      ranges: [[{ subnet: this.#podNetwork() }]],
      routes: [{ dst: "0.0.0.0/0" }],
    };
    const bridge = {
      type: "bridge",
      bridge: "pods",
      isGateway: true,
      hairpinMode: true,
      ipMasq: false,
      ipam,
    };
    const ports = { type: "portmap", capabilities: { portMappings: true } };
    return { cniVersion: "0.4.0", name: "pods", plugins: [bridge, ports] };
  }

  get #socket(): string {
    return join(this.#directory, "containerd.sock");
  }

  get #ctr(): string[] {
    return ["--address", this.#socket, "--namespace", "k8s.io"];
  }

  #runtimeRoot(handler: string): string {
    return join(this.#directory, "runtime", handler);
  }

  /** The runtime under test is the default and every handler's; each handler has a state directory of its own. */
  #containerdSettings(): string {
    const runtimes = ["default", ...HANDLERS].map(
      (handler) => `
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${handler}]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${handler}.options]
    BinaryName = "${RUNTIME}"
    Root = "${this.#runtimeRoot(handler)}"
`,
    );
    return `version = 2
root = "${this.#directory}/containerd"
state = "${this.#directory}/containerd-state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "${this.#socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "${this.#directory}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "k8s.gcr.io/pause:3.2"
  # A hybrid host has no controllers below cgroup2, and may refuse an oom_score_adj of -998.
  disable_cgroup = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "${this.#directory}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "default"
${runtimes.join("")}`;
  }

  #proxyWords(): string[] {
    // Limits of connection tracking are the whole machine's.
    const keeps = ["max-per-core", "tcp-timeout-established", "tcp-timeout-close-wait"];
    return [
      join(PROGRAMS, "kube-proxy"),
      `--kubeconfig=${KUBECONFIG}`,
      `--hostname-override=${this.name}`,
      "--proxy-mode=iptables",
      ...keeps.map((name) => `--conntrack-${name}=0`),
    ];
  }

  #kubeletWords(): string[] {
    return [
      join(PROGRAMS, "kubelet"),
      `--kubeconfig=${KUBECONFIG}`,
      "--container-runtime=remote",
      `--container-runtime-endpoint=unix://${this.#socket}`,
      `--hostname-override=${this.name}`,
      `--node-ip=${this.address}`,
      "--fail-swap-on=false",
      "--cgroup-driver=cgroupfs",
      "--cgroups-per-qos=false",
      "--enforce-node-allocatable=",
      // There is no registry to fetch a removed image from, and the tests don't own the machine's disk.
      "--eviction-hard=",
      "--image-gc-high-threshold=100",
      `--resolv-conf=${join(HOME, "resolv.conf")}`,
      "--cluster-dns=10.96.0.10",
      "--cluster-domain=cluster.local",
      "--authorization-mode=AlwaysAllow",
      "--anonymous-auth=true",
      "--feature-gates=EphemeralContainers=true,ProcMountType=true",
      "--allowed-unsafe-sysctls=kernel.msg*,net.core.somaxconn",
      `--seccomp-profile-root=${join(HOME, "seccomp")}`,
      `--volume-plugin-dir=${this.#directory}/plugins`,
      "--node-status-update-frequency=3s",
      // Only with the next synchronization of a pod does this kubelet act on the result of a startup probe. By default that takes a minute or more.
      "--sync-frequency=10s",
      "--max-pods=250",
    ];
  }

  #pid(): number {
    return Number(readFileSync(join(this.#directory, "machine.pid"), "utf8"));
  }

  #pidFile(daemon: Daemon): string {
    return join(this.#directory, `${daemon}.pid`);
  }

  #daemon(name: Daemon, words: readonly string[]): void {
    rmSync(this.#pidFile(name), { force: true });
    const script = 'echo $$ >"$0"; exec "$@"';
    const command = this.#inside(["sh", "-c", script, this.#pidFile(name), ...words]);
    this.#start(name, this.#enteringCgroup("system", command));
  }

  #inside(command: readonly string[]): string[] {
    return ["nsenter", "--target", String(this.#pid()), ...NAMESPACES, "--", ...command];
  }

  #enteringCgroup(name: string, command: readonly string[]): string[] {
    return ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', join(this.#cgroup, name), ...command];
  }

  /** Starts a program that outlives the worker of vitest. */
  #start(name: string, [program = "", ...args]: readonly string[]): ChildProcess {
    const log = openSync(join(LOGS, `${this.name}-${name}.log`), "a");
    const child = spawn(program, args, { env: { PATH, HOME }, stdio: ["ignore", log, log], detached: true });
    child.unref();
    closeSync(log);
    return child;
  }

  async #ok(...command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(...command);
    if (code !== 0) throw new Error(`${this.name}: ${command.join(" ")}: ${stderr}`);
    return stdout;
  }
}

/** All nodes of the cluster. */
export function allNodes(): Node[] {
  return Array.from({ length: NODES }, (_, index) => new Node(index + 1));
}

async function outside(...command: readonly string[]): Promise<void> {
  const { code, stderr } = await runCommand(command);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** The end of a log. */
export function tail(name: string): string {
  return readFileSync(join(LOGS, `${name}.log`), "utf8").slice(-2000);
}
