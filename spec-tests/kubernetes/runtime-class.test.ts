import { expect } from "vitest";
import { check, type Scope } from "../harness/kubernetes/check.ts";
import { eventually } from "../harness/kubernetes/eventually.ts";
import { allNodes, Node } from "../harness/kubernetes/node.ts";
import { container, podSpec, workload } from "../harness/kubernetes/pods.ts";

const node = new Node(1);

/** The class of examples/kubernetes/runtimeclass.yaml, which the cluster has. */
const runtimeClassName = "runts";

const ofClass = { runtimeClassName, nodeName: node.name };

/** ID of a pod's container, as the runtime has it. */
async function containerId(scope: Scope, name: string): Promise<string> {
  const id = await scope.ok("get", "pod", name, "-o", "jsonpath={.status.containerStatuses[0].containerID}");
  return id.replace("containerd://", "");
}

check(
  "pod of a RuntimeClass: its handler's runtime has the container, and the default one has not",
  async (scope) => {
    await scope.pods.start("pod", podSpec(container(), ofClass));
    const id = await containerId(scope, "pod");
    expect(await node.runtimeContainers("runts")).toContain(id);
    expect(await node.runtimeContainers()).not.toContain(id);
  },
);

check("pod without a RuntimeClass: the default runtime has the container", async (scope) => {
  await scope.pods.start("pod", podSpec(container(), { nodeName: node.name }));
  const id = await containerId(scope, "pod");
  expect(await node.runtimeContainers()).toContain(id);
  expect(await node.runtimeContainers("runts")).not.toContain(id);
});

check("pod of a RuntimeClass: exec, logs, probes and the termination message work", async ({ pods }) => {
  const exec = { command: ["test", "-e", "/up"] };
  const script =
    "echo begun; touch /up; while test ! -e /end; do sleep 0.2; done; echo bye >/dev/termination-log; exit 4";
  const fields = {
    readinessProbe: { exec, periodSeconds: 1 },
    livenessProbe: { exec, initialDelaySeconds: 1 },
  };
  await pods.start("pod", podSpec(container(script, fields), { ...ofClass, restartPolicy: "Never" }));
  expect(await pods.log("pod")).toBe("begun\n");
  expect((await pods.shell("pod", "touch /end; exit 5")).code).toBe(5);
  expect(await pods.ended("pod")).toMatchObject({ exitCode: 4, reason: "Error", message: "bye\n" });
});

check("pod of a RuntimeClass: the security context holds", async ({ pods }) => {
  const seccompProfile = { type: "RuntimeDefault" };
  const securityContext = { runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000, seccompProfile };
  const script = "id -u; id -G; grep Seccomp: /proc/self/status; touch /file 2>&1";
  const own = { securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } } };
  const { log } = await pods.run(script, own, { ...ofClass, securityContext });
  expect(log).toBe("1000\n1000 2000\nSeccomp:\t2\ntouch: /file: Read-only file system\n");
});

check("Deployment of a RuntimeClass: its pods run on all nodes, and are replaced", async (scope) => {
  const available = () => scope.ok("rollout", "status", "deployment/app", "--timeout=120s");
  const spread = {
    maxSkew: 1,
    topologyKey: "kubernetes.io/hostname",
    whenUnsatisfiable: "DoNotSchedule",
    labelSelector: { matchLabels: { app: "app" } },
  };
  const template = podSpec(container(), { runtimeClassName, topologySpreadConstraints: [spread] });
  await scope.apply(workload("Deployment", "app", { replicas: 4, template }));
  await available();
  const nodes = (await scope.list("pods", "app=app")).map(({ spec }) => spec.nodeName);
  expect(new Set(nodes)).toEqual(new Set(allNodes().map(({ name }) => name)));
  const before = await scope.pods.namesOf("app");
  await scope.ok("rollout", "restart", "deployment/app");
  await available();
  await eventually(
    () => scope.pods.namesOf("app"),
    (found) => expect(found).toHaveLength(4),
  );
  const restarted = await scope.pods.namesOf("app");
  expect(restarted.filter((name) => before.includes(name))).toEqual([]);
});

check(
  "RuntimeClass with a handler that the node does not know: the pod waits, and the event names it",
  async (scope) => {
    const name = `${scope.namespace}-unknown`;
    await scope.apply({
      apiVersion: "node.k8s.io/v1",
      kind: "RuntimeClass",
      metadata: { name },
      handler: "unknown",
    });
    try {
      await scope.pods.create("pod", podSpec(container(), { runtimeClassName: name }));
      const events = () => scope.ok("get", "events", "-o", "jsonpath={.items[*].message}");
      await eventually(events, (found) => expect(found).toContain('no runtime for "unknown" is configured'));
      expect((await scope.pods.get("pod")).status.phase).toBe("Pending");
    } finally {
      await scope.ok("delete", "runtimeclass", name);
    }
  },
);

check("RuntimeClass that does not exist: the pod is refused", async ({ pods }) => {
  const creating = pods.create("pod", podSpec(container(), { runtimeClassName: "missing" }));
  await expect(creating).rejects.toThrow('RuntimeClass "missing" not found');
});
