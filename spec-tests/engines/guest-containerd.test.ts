import { expect } from "vitest";
import type { CriResources } from "../harness/engines/cri.ts";
import { engineTests } from "../harness/engines/engine.ts";
import { GuestContainerd } from "../harness/engines/guest-containerd.ts";
import { inPod } from "../harness/engines/pods.ts";
import type { Deviations } from "../harness/peers.ts";

/** Limits at work, below a systemd that makes the cgroups, as on a node of Kubernetes. */
const guestCheck = engineTests({
  who: "containerd in a guest with systemd",
  programs: { containerd: "containerd", "qemu-system-x86_64": "qemu-system-x86", ip: "iproute2" },
  open: () => GuestContainerd.boot(),
  openTimeoutMs: 1_200_000,
});

const check = (
  title: string,
  body: (engine: GuestContainerd) => Promise<void>,
  deviations: Deviations = {},
) => guestCheck(title, body, { timeoutMs: 1_200_000, ...deviations });

const MIB = 1 << 20;
const SLICE = "kubepods-burstable-pod89ab_cdef.slice";
/** No CNI: the pod has the network of its node. */
const NODE_NETWORK = 2;
const POD = {
  handler: "",
  cgroupParent: `/kubepods.slice/kubepods-burstable.slice/${SLICE}`,
  namespaces: { network: NODE_NETWORK },
};

/** A pod with one container that has these limits. `read` has the lines of files of its cgroup, `unit` the properties of its scope. */
async function withContainer(
  engine: GuestContainerd,
  resources: CriResources,
  command: readonly string[],
  body: (
    id: string,
    read: (...files: readonly string[]) => Promise<string[]>,
    unit: (...properties: readonly string[]) => Promise<string[]>,
  ) => Promise<void>,
): Promise<void> {
  const { guest } = engine;
  await inPod(engine, POD, async (start) => {
    const id = await start({ network: NODE_NETWORK, resources, command });
    const cgroup = await engine.cgroup(id);
    const read = async (...files: readonly string[]) =>
      (await guest.output(`cd ${cgroup} && cat ${files.join(" ")}`)).split("\n");
    const unit = async (...properties: readonly string[]) => {
      const show = properties.map(
        (name) => `systemctl show --value --property=${name} cri-containerd-${id}.scope`,
      );
      return (await guest.output(show.join("; "))).split("\n");
    };
    await body(id, read, unit);
  });
}

check(
  "pod with limits: the scope in the kubelet's slice has them, and so have the cgroup's files",
  async (engine) => {
    const resources = {
      memory: 64 * MIB,
      cpuPeriod: 100_000,
      cpuQuota: 50_000,
      cpuShares: 512,
      cpuset: "1",
      unified: { "memory.high": `${48 * MIB}`, "memory.min": `${8 * MIB}`, "memory.oom.group": "1" },
    };
    await withContainer(engine, resources, ["sleep", "1000"], async (_id, read, unit) => {
      const limits = await read(
        "memory.max",
        "memory.high",
        "memory.min",
        "memory.oom.group",
        "cpu.max",
        "cpuset.cpus",
      );
      expect(limits).toEqual([64, 48, 8].map((size) => `${size * MIB}`).concat(["1", "50000 100000", "1"]));
      expect(await unit("Slice", "MemoryMax", "MemoryHigh", "CPUQuotaPerSecUSec", "AllowedCPUs")).toEqual([
        SLICE,
        `${64 * MIB}`,
        `${48 * MIB}`,
        "500ms",
        "1",
      ]);
    });
  },
);

check(
  "resize of a running container: memory grows and shrinks with the keys of MemoryQoS, also after daemon-reload",
  async (engine) => {
    // As the kubelet makes it. A systemd that knows memory.oom.group keeps it only if the scope was made with it.
    const first = {
      memory: 64 * MIB,
      unified: { "memory.high": `${56 * MIB}`, "memory.oom.group": "1" },
    };
    await withContainer(engine, first, ["sleep", "1000"], async (id, read, unit) => {
      const pid = await engine.cri.pid(id);
      for (const [max, high, min] of [
        [96, 80, 8],
        [32, 24, 4],
      ] as const) {
        const unified = {
          "memory.high": `${high * MIB}`,
          "memory.min": `${min * MIB}`,
          "memory.oom.group": "1",
        };
        await engine.cri.update(id, { memory: max * MIB, cpuQuota: max * 1000, cpuPeriod: 100_000, unified });
        const expected = [max, high, min]
          .map((size) => `${size * MIB}`)
          .concat(["1", `${max * 1000} 100000`]);
        const files = ["memory.max", "memory.high", "memory.min", "memory.oom.group", "cpu.max"];
        expect(await read(...files)).toEqual(expected);
        expect(await unit("MemoryMax")).toEqual([`${max * MIB}`]);
        await engine.guest.output("systemctl daemon-reload");
        expect(await read(...files)).toEqual(expected);
      }
      expect(await engine.cri.pid(id)).toBe(pid);
      expect((await engine.cri.exec(id, "echo", "still")).stdout).toBe("still\n");
    });
  },
  // Debian has this runc with systemd 262, and older ones with a systemd that leaves the file alone.
  { runc: { reason: "no OOMPolicy=kill for memory.oom.group, so systemd resets it", from: "1.3" } },
);

check(
  "resize, a key that the kernel does not have: refused, and the limits are as before",
  async (engine) => {
    await withContainer(engine, { memory: 64 * MIB }, ["sleep", "1000"], async (id, read) => {
      const unified = { "memory.nothing": "1" };
      await expect(engine.cri.update(id, { memory: 32 * MIB, unified })).rejects.toThrow(/memory\.nothing/);
      expect(await read("memory.max")).toEqual([`${64 * MIB}`]);
      expect((await engine.cri.exec(id, "echo", "still")).stdout).toBe("still\n");
    });
  },
  { runc: "the limits before the one that is refused stay changed" },
);

/** A child takes too much; the shell tells of it, unless it is killed as well. */
const EXCEED = ["sh", "-c", "dd if=/dev/zero of=/dev/null bs=64M count=1; echo went on; sleep 1000"];

check(
  "out of memory with memory.oom.group: the whole container is killed, with the reason OOMKilled",
  async (engine) => {
    await inPod(engine, POD, async (start) => {
      const resources = { memory: 16 * MIB, unified: { "memory.oom.group": "1" } };
      const id = await start({ network: NODE_NETWORK, resources, command: EXCEED });
      const status = async () => {
        const { state, code, reason } = await engine.cri.status(id);
        return { state, code, reason };
      };
      await expect.poll(status, { timeout: 120_000, interval: 1000 }).toEqual({
        state: "exited",
        code: 137,
        reason: "OOMKilled",
      });
    });
  },
);

check(
  "out of memory without memory.oom.group: one process is killed, and the container goes on",
  async (engine) => {
    const resources = { memory: 16 * MIB };
    await withContainer(engine, resources, EXCEED, async (id, read) => {
      const kills = async () => (await read("memory.events")).find((line) => line.startsWith("oom_kill "));
      await expect.poll(kills, { timeout: 120_000, interval: 1000 }).toBe("oom_kill 1");
      expect((await engine.cri.status(id)).state).toBe("running");
      expect((await engine.cri.exec(id, "echo", "still")).stdout).toBe("still\n");
      expect(await kills()).toBe("oom_kill 1");
    });
  },
);
