import { execFileSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Guest, GuestError } from "../guests/guest.ts";
import type { GuestKernel } from "../guests/kernel.ts";
import { clusterNode } from "../guests/qemu.ts";
import { baseRootfs } from "../rootfs.ts";
import { RUNTIME } from "../runtime.ts";
import { containerdSettings, IMAGE, PAUSE_IMAGE } from "./containerd-settings.ts";
import { Cri } from "./cri.ts";
import { type Engine, lines } from "./engine.ts";
import { writeOciArchive } from "./oci-archive.ts";

const PORT = 10_010;
/** Everything takes long where the processor is emulated, and longer on a busy machine. */
const PATIENCE_MS = 600_000;
const MOST_BOOTS = 4;

/** containerd as a service of systemd in a guest that has all controllers. The tests speak to it over the guest's network card. */
export class GuestContainerd implements Engine {
  readonly guest: Guest;
  readonly cri: Cri;
  /** Of containerd, in the guest. */
  readonly directory = "/run/containerd-test";
  readonly #tap: string;

  static async boot(): Promise<GuestContainerd> {
    // Not the pid, which is that of a pid namespace.
    const number = randomInt(256);
    const tap = `rspec${number}`;
    // The guest has the second address of the network.
    const network = `10.213.${number}`;
    const kernel = clusterNode(tap, "qemu, systemd");
    if (kernel.missing !== undefined) throw new Error(kernel.missing);
    run("ip", "tuntap", "add", "dev", tap, "mode", "tap");
    let guest: Guest | undefined;
    try {
      run("ip", "address", "add", `${network}.1/30`, "dev", tap);
      run("ip", "link", "set", tap, "up");
      guest = await bootAtLast(kernel);
      const engine = new GuestContainerd(guest, tap, `${network}.2`);
      await engine.#start(`${network}.2`);
      return engine;
    } catch (error) {
      await guest?.stop();
      run("ip", "link", "delete", tap);
      throw error;
    }
  }

  private constructor(guest: Guest, tap: string, host: string) {
    this.guest = guest;
    this.#tap = tap;
    this.cri = new Cri({ host, port: PORT }, PATIENCE_MS);
  }

  async #start(address: string): Promise<void> {
    const { directory, guest } = this;
    const options = { directory, runtime: RUNTIME, systemdCgroup: true, tcpAddress: `${address}:${PORT}` };
    writeFileSync(join(guest.exchange, "config.toml"), containerdSettings(options));
    writeOciArchive(join(guest.exchange, "image.tar"), baseRootfs(), {
      [IMAGE]: { Cmd: ["sh"], Env: ["PATH=/bin"] },
      [PAUSE_IMAGE]: { Cmd: ["sleep", "1000000"], Env: ["PATH=/bin"] },
    });
    // By its path, since busybox has another modprobe.
    const script = `set -eu
for module in virtio_net overlay; do /usr/sbin/modprobe -d "$modules" "$module"; done
card=$(cd /sys/class/net; ls -d e*)
ip link set lo up; ip link set "$card" up; ip address add ${address}/30 dev "$card"
mkdir -p ${directory}/logs ${directory}/cni
systemd-run --quiet --unit=containerd --property=Delegate=yes --property=KillMode=process /usr/bin/containerd --config /run/exchange/config.toml
until ctr --address ${directory}/socket version; do sleep 1; done
ctr --address ${directory}/socket --namespace k8s.io images import /run/exchange/image.tar`;
    await guest.output(script, PATIENCE_MS);
    for (const limit = Date.now() + PATIENCE_MS; ; await sleep(500)) {
      const answers = await this.cri.pods().then(
        () => true,
        () => false,
      );
      if (answers) return;
      if (Date.now() > limit) throw new Error("containerd in the guest does not serve the CRI");
    }
  }

  /** The directory of the container's cgroup, a path in the guest. */
  async cgroup(container: string): Promise<string> {
    const path = await this.guest.output(`cat /proc/${await this.cri.pid(container)}/cgroup`);
    return `/sys/fs/cgroup${path.slice("0::".length)}`;
  }

  async left(): Promise<string[]> {
    const units = await this.guest.output(
      "systemctl list-units --all --plain --no-legend 'cri-containerd-*'",
    );
    return [...(await this.cri.pods()), ...(await this.cri.containers()), ...lines(units)];
  }

  async clear(): Promise<void> {
    for (const pod of await this.cri.pods()) await this.cri.removePod(pod);
  }

  async close(): Promise<void> {
    await this.guest.stop();
    run("ip", "link", "delete", this.#tap);
  }
}

/** qemu may crash while a guest boots. */
async function bootAtLast(kernel: GuestKernel): Promise<Guest> {
  for (let boots = 1; ; boots++) {
    try {
      return await Guest.boot(kernel, PATIENCE_MS);
    } catch (error) {
      if (!(error instanceof GuestError) || boots === MOST_BOOTS) throw error;
    }
  }
}

function run(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: ["ignore", "ignore", "pipe"] });
}
