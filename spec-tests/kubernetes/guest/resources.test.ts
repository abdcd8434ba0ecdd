import { describe, expect } from "vitest";
import { eventually } from "../../harness/kubernetes/eventually.ts";
import { type GuestScope, guestChecks, holding } from "../../harness/kubernetes/guest/check.ts";
import { MetricsApi, readSummary } from "../../harness/kubernetes/guest/metrics-api.ts";
import { EVICTION_MIB, POD_MEMORY_MIB, POD_PIDS } from "../../harness/kubernetes/guest/node.ts";
import { Kubectl } from "../../harness/kubernetes/kubectl.ts";
import { container, type Fields } from "../../harness/kubernetes/pods.ts";

const MIB = 1 << 20;
/** More memory than the limits of these tests. */
const EXCEED = "dd if=/dev/zero of=/dev/null bs=96M count=1";

/** So little that there is room for the pods of all tests that run at once. */
const SMALL = { cpu: "50m", memory: "32Mi" };

/** A container whose requests and limits are these. */
function limited(script: string | undefined, limits: Fields, requests: Fields = limits): Fields {
  return container(script, { resources: { limits, requests } });
}

/** Number of a file with lines of `KEY NUMBER` in a container's cgroup. */
async function count(scope: GuestScope, name: string, file: string, key: string): Promise<number> {
  const line = (await scope.files(name, file)).find((text) => text.startsWith(`${key} `));
  return Number(line?.split(" ")[1]);
}

async function hasPressure(scope: GuestScope): Promise<boolean> {
  const path = '{.status.conditions[?(@.type=="MemoryPressure")].status}';
  return (await scope.ok("get", "node", scope.node.name, "-o", `jsonpath=${path}`)) === "True";
}

/** Whether the kubelet knows how much memory a pod uses. It evicts those first of which it does not. */
async function isMeasured(scope: GuestScope, name: string): Promise<boolean> {
  const { pods } = await readSummary(new Kubectl(), scope.node.name);
  const { containers = [] } = pods.find(({ podRef }) => podRef.name === name) ?? {};
  return containers.some(({ memory }) => (memory?.workingSetBytes ?? 0) > 0);
}

describe("on a node that has all cgroup controllers", () => {
  const check = guestChecks();

  check("a container with requests and limits: its cgroup has them, and it sees them", async (scope) => {
    const limits = { cpu: "500m", memory: "64Mi" };
    await scope.start("limited", limited(undefined, limits, { cpu: "250m", memory: "32Mi" }));
    const files = ["cpu.max", "memory.max"];
    const values = ["50000 100000", `${64 * MIB}`];
    expect(await scope.files("limited", ...files)).toEqual(values);
    const inside = files.map((file) => `/sys/fs/cgroup/${file}`).join(" ");
    expect((await scope.pods.output("limited", `cat ${inside}`)).trim().split("\n")).toEqual(values);
  });

  check("containers with more CPU requested: they weigh more", async (scope) => {
    const requesting = (cpu: string) => container(undefined, { resources: { requests: { cpu } } });
    await scope.startAll({ light: requesting("100m"), heavy: requesting("400m") });
    const weight = async (name: string) => Number(await scope.files(name, "cpu.weight"));
    const [light, heavy] = [await weight("light"), await weight("heavy")];
    expect(light).toBeGreaterThan(1);
    expect(heavy).toBeGreaterThan(2 * light);
  });

  check("pods of each QoS class: they are below its cgroup, with its oom_score_adj", async (scope) => {
    const classes = {
      guaranteed: limited(undefined, SMALL),
      burstable: container(undefined, { resources: { requests: SMALL } }),
      besteffort: container(),
    };
    await scope.startAll(classes);
    const scores: Record<string, number> = {};
    for (const name of Object.keys(classes)) {
      expect((await scope.qosClass(name)).toLowerCase()).toBe(name);
      expect(await scope.files(name, "cgroup.procs"), name).not.toEqual([""]);
      const read = 'cat "/proc/$(head -n 1 cgroup.procs)/oom_score_adj"';
      scores[name] = Number(await scope.node.output(`cd ${await scope.cgroup(name)} && ${read}`));
    }
    const { burstable, ...fixed } = scores;
    expect(fixed).toEqual({ guaranteed: -997, besteffort: 1000 });
    expect(burstable).toBeGreaterThan(900);
    expect(burstable).toBeLessThan(1000);
  });

  check("a container over its memory limit: it is OOMKilled with 137, and started again", async (scope) => {
    await scope.create("greedy", limited(`exec ${EXCEED}`, { cpu: "500m", memory: "32Mi" }, SMALL));
    await scope.pods.state("greedy", ({ restartCount }) => restartCount > 0);
    const status = await scope.pods.status("greedy");
    expect(status?.lastState.terminated).toMatchObject({ reason: "OOMKilled", exitCode: 137 });
  });

  check(
    "a child or an exec over the memory limit: it is killed, and the container goes on",
    async (scope) => {
      const script = `${EXCEED} 2>/dev/null; echo "child: $?"; exec sleep 1000000`;
      await scope.start("parent", limited(script, { cpu: "500m", memory: "32Mi" }, SMALL));
      await eventually(
        () => scope.ok("logs", "parent"),
        (found) => expect(found).toBe("child: 137\n"),
      );
      expect((await scope.pods.shell("parent", `exec ${EXCEED}`)).code).toBe(137);
      expect(await count(scope, "parent", "memory.events", "oom_kill")).toBe(2);
      expect((await scope.pods.status("parent"))?.restartCount).toBe(0);
    },
  );

  check("a container that makes too many processes: it gets no more than its pod may have", async (scope) => {
    const script = `for n in $(seq ${POD_PIDS + 20}); do sleep 1000000 & done; wait`;
    await scope.create("forking", container(script));
    await eventually(
      () => scope.ok("logs", "forking", "--ignore-errors"),
      (found) => expect(found).toContain("can't fork"),
    );
    const pod = await scope.podCgroup("forking");
    expect(await scope.node.files(pod, "pids.max")).toBe(`${POD_PIDS}`);
  });

  check("a container that wants more CPU than its limit: it is throttled", async (scope) => {
    await scope.start("busy", limited("while :; do :; done", { cpu: "100m", memory: "32Mi" }));
    await eventually(
      () => count(scope, "busy", "cpu.stat", "nr_throttled"),
      (found) => expect(found).toBeGreaterThan(5),
    );
  });

  check(
    "a container with a whole CPU for itself: others lose it, and get it back later",
    async (scope) => {
      const processors = (name: string) => scope.files(name, "cpuset.cpus.effective");
      await scope.start("shared", container());
      expect(await processors("shared")).toEqual(["0-1"]);
      await scope.start("alone", limited(undefined, { cpu: "1", memory: "32Mi" }));
      const [own = ""] = await processors("alone");
      expect(own).toMatch(/^[01]$/);
      await eventually(
        () => processors("shared"),
        (found) => expect(found).toEqual([`${1 - Number(own)}`]),
      );
      await scope.ok("delete", "pod", "alone");
      await eventually(
        () => processors("shared"),
        (found) => expect(found).toEqual(["0-1"]),
      );
    },
    { alone: true },
  );

  check("a container with huge pages: its cgroup has the limit of each size", async (scope) => {
    const limits = { cpu: "100m", memory: "32Mi", "hugepages-2Mi": "4Mi" };
    await scope.start("huge", limited(undefined, limits));
    expect(await scope.files("huge", "hugetlb.2MB.max")).toEqual([`${4 * MIB}`]);
  });

  check(
    "a container that works: kubectl top tells its CPU and memory",
    async (scope) => {
      const metrics = await MetricsApi.start(new Kubectl(), scope.node.name);
      try {
        const script = `while :; do :; done & ${holding(48)}`;
        await scope.start("working", limited(script, { cpu: "200m", memory: "128Mi" }));
        const figures = async () => {
          const shown = await scope.call("top", "pods", "--containers", "--no-headers");
          const [, cpu = 0, memory = 0] = /^working +main +(\d+)m +(\d+)Mi/.exec(shown.stdout) ?? [];
          return { cpu: Number(cpu), memory: Number(memory) };
        };
        // The kubelet compares two readings of the cgroup's processor time, and the first ones are of the container's start.
        await eventually(
          async () => (await figures()).cpu,
          (found) => expect(found).toBeGreaterThan(150),
        );
        const { cpu, memory } = await figures();
        expect(cpu).toBeLessThan(250);
        expect(memory).toBeGreaterThanOrEqual(48);
        expect(memory).toBeLessThan(64);
      } finally {
        await metrics.stop();
      }
    },
    { alone: true },
  );

  check(
    "pods that leave too little memory: the one that exceeds its request is evicted",
    async (scope) => {
      const resources = { requests: { cpu: "50m", memory: "32Mi" } };
      await scope.start("modest", container(undefined, { resources }));
      await eventually(
        () => isMeasured(scope, "modest"),
        (found) => expect(found).toBe(true),
      );
      const greedy = container(holding(POD_MEMORY_MIB - EVICTION_MIB + 50), { resources });
      await scope.create("greedy", greedy);
      await eventually(
        () => hasPressure(scope),
        (found) => expect(found).toBe(true),
      );
      await eventually(
        async () => (await scope.pods.get("greedy")).status.reason,
        (found) => expect(found).toBe("Evicted"),
      );
      const { status } = await scope.pods.get("greedy");
      expect(status.phase).toBe("Failed");
      expect(await scope.ok("get", "pod", "greedy", "-o", "jsonpath={.status.message}")).toContain(
        "low on resource: memory",
      );
      // Kubernetes keeps pods that request no memory away from such a node.
      await scope.create("late", container());
      await eventually(
        () => hasPressure(scope),
        (found) => expect(found).toBe(false),
      );
      await scope.pods.state("late", ({ ready }) => ready);
      expect((await scope.pods.status("modest"))?.restartCount).toBe(0);
    },
    { alone: true },
  );

  check(
    "a node whose pods are all deleted: no cgroup and no container is left",
    async (scope) => {
      await eventually(
        () => scope.leftovers(),
        (found) => expect(found).toBe(""),
      );
    },
    { alone: true },
  );
});
