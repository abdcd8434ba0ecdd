import { expect } from "vitest";
import { check, type Scope } from "../harness/kubernetes/check.ts";
import { eventually } from "../harness/kubernetes/eventually.ts";
import { imageArchives } from "../harness/kubernetes/images.ts";
import { Kubectl } from "../harness/kubernetes/kubectl.ts";
import { allNodes, Node } from "../harness/kubernetes/node.ts";
import { container, podSpec, workload } from "../harness/kubernetes/pods.ts";

const cluster = new Kubectl();

async function deploy(scope: Scope, replicas: number): Promise<void> {
  await scope.apply(workload("Deployment", "app", { replicas, template: podSpec(container()) }));
  await available(scope);
}

function available(scope: Scope): Promise<string> {
  return scope.ok("rollout", "status", "deployment/app", "--timeout=180s");
}

/** How many ready pods each node has. */
async function readyByNode(scope: Scope): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { spec, status } of await scope.list("pods", "app=app")) {
    const ready = status.conditions?.some(
      (condition) => condition.type === "Ready" && condition.status === "True",
    );
    const node = spec.nodeName ?? "";
    if (ready) counts[node] = (counts[node] ?? 0) + 1;
  }
  return counts;
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** A pod that counts up each fifth of a second, and how far it is. */
async function startCounter(scope: Scope): Promise<() => Promise<number>> {
  const script = "n=0; while :; do n=$((n+1)); echo $n >/run/n; mv /run/n /run/count; sleep 0.2; done";
  await scope.pods.start("counter", podSpec(container(script), { nodeName: "node2" }));
  return async () => Number(await scope.pods.output("counter", "cat /run/count"));
}

check(
  "30 pods on three nodes: all get ready, some on each node",
  async (scope) => {
    await deploy(scope, 30);
    const counts = await readyByNode(scope);
    expect(sum(counts)).toBe(30);
    expect(Object.keys(counts).sort()).toEqual(allNodes().map(({ name }) => name));
  },
  { alone: true },
);

check(
  "drain of a node: its pods run elsewhere, until it may be used again",
  async (scope) => {
    await deploy(scope, 6);
    // Pods of namespaces that are being removed can't be evicted, and may be there for a while.
    await eventually(
      () => cluster.call("drain", "node2", "--ignore-daemonsets", "--force", "--timeout=60s"),
      ({ code }) => expect(code).toBe(0),
      150_000,
    );
    await available(scope);
    const counts = await readyByNode(scope);
    expect(counts).not.toHaveProperty("node2");
    expect(sum(counts)).toBe(6);
    await eventually(
      () => new Node(2).runningContainers(),
      (found) => expect(found).toEqual([]),
    );
    await cluster.ok("uncordon", "node2");
    await scope.ok("scale", "deployment/app", "--replicas=12");
    await available(scope);
    expect(await readyByNode(scope)).toHaveProperty("node2");
  },
  { alone: true },
);

check(
  "restart of the kubelet: the pods go on, and are managed afterwards",
  async (scope) => {
    const node = new Node(2);
    const count = await startCounter(scope);
    const before = await scope.pods.status("counter");
    const counted = await count();
    await node.stop("kubelet");
    node.startKubelet();
    await node.ready();
    await eventually(count, (found) => expect(found).toBeGreaterThan(counted));
    expect(await scope.pods.status("counter")).toEqual(before);
    await scope.ok("delete", "pod", "counter");
    await eventually(
      () => node.runningContainers(),
      (found) => expect(found).toEqual([]),
    );
  },
  { alone: true },
);

check(
  "restart of containerd: the pods go on, and are managed afterwards",
  async (scope) => {
    const node = new Node(2);
    const count = await startCounter(scope);
    const before = await scope.pods.status("counter");
    const counted = await count();
    await node.stop("containerd");
    await node.startContainerd();
    await node.ready();
    await eventually(count, (found) => expect(found).toBeGreaterThan(counted));
    expect((await scope.pods.status("counter"))?.state).toEqual(before?.state);
    await scope.pods.start("later", podSpec(container(), { nodeName: "node2" }));
    await scope.ok("delete", "pod", "counter", "later");
    await eventually(
      () => node.runningContainers(),
      (found) => expect(found).toEqual([]),
    );
  },
  { alone: true },
);

check(
  "a node that dies: its pods run elsewhere, and it can come back",
  async (scope) => {
    await deploy(scope, 9);
    expect(await readyByNode(scope)).toHaveProperty("node3");
    const node = new Node(3);
    await node.kill();
    try {
      await cluster.ok("wait", "--for=condition=Ready=Unknown", "node/node3", "--timeout=120s");
      await eventually(
        async () => {
          const { node3: _, ...others } = await readyByNode(scope);
          return sum(others);
        },
        (found) => expect(found).toBe(9),
      );
    } finally {
      await node.start(imageArchives());
      await node.ready();
    }
    await scope.pods.start("again", podSpec(container(), { nodeName: "node3" }));
  },
  { alone: true },
);
