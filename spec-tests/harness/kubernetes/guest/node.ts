import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeOciArchive } from "../../engines/oci-archive.ts";
import { Guest } from "../../guests/guest.ts";
import { clusterNode } from "../../guests/qemu.ts";
import { baseRootfs } from "../../rootfs.ts";
import { RUNTIME } from "../../runtime.ts";
import { BUSYBOX } from "../images.ts";
import { Kubectl } from "../kubectl.ts";
import { CONTROL_ADDRESS, KUBECONFIG, PROGRAMS } from "../places.ts";

/** The tap device of setup.ts. */
export const TAP = "guest";
const PAUSE = "k8s.gcr.io/pause:3.2";
const SCRIPT = join(import.meta.dirname, "node.sh");
const START_MS = 600_000;
const COMMAND_MS = 300_000;
const MIB = 1 << 20;

/** Where the runtime has its state. */
export const RUNTIME_ROOT = "/run/tested";

/** Memory of all pods together: so little that a pod puts the node under pressure without using up the guest's. */
export const POD_MEMORY_MIB = 700;
/** The kubelet evicts pods when they have left less than this of it. */
export const EVICTION_MIB = 300;
/** Processes of one pod. */
export const POD_PIDS = 100;

/** A node whose kernel has all cgroup controllers: a guest with containerd and a kubelet. The control plane is beside vitest. */
export class GuestNode {
  readonly name = "guest";
  readonly #guest: Guest;

  private constructor(guest: Guest) {
    this.#guest = guest;
  }

  static async boot(): Promise<GuestNode> {
    const kernel = clusterNode(TAP, "qemu");
    if (kernel.missing !== undefined) throw new Error(kernel.missing);
    const node = new GuestNode(await Guest.boot(kernel, START_MS));
    try {
      await node.#start();
    } catch (error) {
      if (error instanceof Error) error.message += node.#logs();
      await node.stop();
      throw error;
    }
    return node;
  }

  async stop(): Promise<void> {
    await this.#guest.stop();
    await new Kubectl().call("delete", "node", this.name, "--ignore-not-found");
  }

  /** The output of a script of sh on the node. */
  output(script: string): Promise<string> {
    return this.#guest.output(script, COMMAND_MS);
  }

  /** Files of a cgroup, one line each. */
  files(cgroup: string, ...names: readonly string[]): Promise<string> {
    return this.output(`cd ${cgroup} && cat ${names.join(" ")}`);
  }

  async #start(): Promise<void> {
    const total = Number(/MemTotal: +(\d+)/.exec(await this.output("cat /proc/meminfo"))?.[1]) / 1024;
    const reserved = Math.floor(total) - POD_MEMORY_MIB;
    this.#write("containerd.toml", CONTAINERD);
    mkdirSync(this.#path("cni"));
    this.#write("cni/none.conflist", JSON.stringify(NETWORK));
    this.#write("kubelet.json", JSON.stringify(kubeletSettings(reserved)));
    this.#write("kubeconfig", readFileSync(KUBECONFIG));
    writeOciArchive(this.#path("images.tar"), baseRootfs(), {
      [BUSYBOX]: { Cmd: ["sh"], Env: ["PATH=/bin"] },
      [PAUSE]: { Cmd: ["sleep", "1000000"], Env: ["PATH=/bin"] },
    });
    const words = [SCRIPT, PROGRAMS, ADDRESS, CONTROL_ADDRESS, this.name];
    await this.#guest.output(`exec /bin/bash ${words.join(" ")}`, START_MS);
    const end = Date.now() + START_MS;
    while (!(await this.#isReady())) {
      if (Date.now() > end) throw new Error(`${this.name} does not get ready`);
      await sleep(1000);
    }
  }

  async #isReady(): Promise<boolean> {
    const { stdout } = await new Kubectl().call("get", "node", this.name, "--no-headers");
    return / Ready /.test(stdout);
  }

  /** The last lines of the node's programs. */
  #logs(): string {
    const files = ["containerd.log", "kubelet.log"].map((name) => this.#path(name)).filter(existsSync);
    return files.map((file) => `\n${file}:\n${readFileSync(file, "utf8").slice(-3000)}`).join("");
  }

  #write(name: string, content: string | Buffer): void {
    writeFileSync(this.#path(name), content);
  }

  #path(name: string): string {
    return join(this.#guest.exchange, name);
  }
}

const ADDRESS = "10.10.0.9";

const CONTAINERD = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE}"
  disable_hugetlb_controller = false

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/run/exchange/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "tested"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested]
  runtime_type = "io.containerd.runc.v2"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested.options]
    BinaryName = "${RUNTIME}"
    Root = "${RUNTIME_ROOT}"
    SystemdCgroup = false
`;

/** A node without a network for pods is not ready. The tests' pods have the node's. */
const NETWORK = { cniVersion: "0.4.0", name: "none", plugins: [{ type: "loopback" }] };

/** The kubelet gives what it does not reserve to the pods. */
function kubeletSettings(reservedMib: number): unknown {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    cgroupDriver: "cgroupfs",
    cgroupsPerQOS: true,
    enforceNodeAllocatable: ["pods"],
    kubeReserved: { cpu: "200m", memory: `${reservedMib}Mi` },
    evictionHard: { "memory.available": `${EVICTION_MIB * MIB}` },
    evictionPressureTransitionPeriod: "30s",
    podPidsLimit: POD_PIDS,
    // Whole processors of Guaranteed pods are theirs alone.
    cpuManagerPolicy: "static",
    // Each time, the runtime has to update each container.
    cpuManagerReconcilePeriod: "30s",
    failSwapOn: false,
    runtimeRequestTimeout: "10m",
    imageGCHighThresholdPercent: 100,
    nodeStatusUpdateFrequency: "10s",
    // Less work for an emulated machine.
    makeIPTablesUtilChains: false,
    nodeLeaseDurationSeconds: 200,
    volumeStatsAggPeriod: "10m",
    resolvConf: "",
    volumePluginDir: "/run/plugins",
  };
}
