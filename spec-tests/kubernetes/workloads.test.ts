import { expect } from "vitest";
import { check, type Scope } from "../harness/kubernetes/check.ts";
import { eventually } from "../harness/kubernetes/eventually.ts";
import { WEB_SERVER } from "../harness/kubernetes/images.ts";
import { NODES } from "../harness/kubernetes/places.ts";
import { container, type Fields, podSpec, workload } from "../harness/kubernetes/pods.ts";

const idle = podSpec(container());
const webServer = podSpec({ name: "main", image: WEB_SERVER });

/** Creates a workload and waits until all of its pods are available. */
async function rollOut(
  scope: Scope,
  kind: string,
  spec: Fields & { readonly template: Fields },
): Promise<void> {
  await scope.apply(workload(kind, "app", spec));
  await available(scope, kind);
}

function available(scope: Scope, kind: string): Promise<string> {
  return scope.ok("rollout", "status", `${kind.toLowerCase()}/app`, "--timeout=120s");
}

/** Names of the workload's pods that have not been told to end. */
function podNames(scope: Scope): Promise<string[]> {
  return scope.pods.namesOf("app");
}

/** Variables of a program of the Deployment, once the pods that it has replaced are told to end. */
async function environment(scope: Scope): Promise<string> {
  await eventually(
    () => podNames(scope),
    (names) => expect(names).toHaveLength(3),
  );
  const [name = ""] = await podNames(scope);
  return scope.pods.output(name, "env");
}

check(
  "Deployment of a web server behind a Service: a pod answers at the Service's address",
  async (scope) => {
    await rollOut(scope, "Deployment", { replicas: 3, template: webServer });
    await scope.ok("expose", "deployment", "app", "--port=80");
    const address = await scope.ok("get", "service", "app", "-o", "jsonpath={.spec.clusterIP}");
    await scope.pods.start("client", idle);
    const fetched = () => scope.pods.shell("client", `wget -T 5 -q -O - http://${address}`);
    await eventually(
      async () => (await fetched()).stdout,
      (found) => expect(found).toContain("It works!"),
    );
  },
);

check("Deployment with a deleted pod, and scaled: as many pods run as it says", async (scope) => {
  await rollOut(scope, "Deployment", { replicas: 2, template: idle });
  const [first = ""] = await podNames(scope);
  await scope.ok("delete", "pod", first);
  await available(scope, "Deployment");
  expect(await podNames(scope)).toHaveLength(2);
  expect(await podNames(scope)).not.toContain(first);
  await scope.ok("scale", "deployment/app", "--replicas=4");
  await available(scope, "Deployment");
  expect(await podNames(scope)).toHaveLength(4);
  await scope.ok("scale", "deployment/app", "--replicas=1");
  await eventually(
    () => podNames(scope),
    (found) => expect(found).toHaveLength(1),
  );
});

check("Deployment rollout restart, and undo of a change: all pods are replaced", async (scope) => {
  await rollOut(scope, "Deployment", { replicas: 3, template: idle });
  const before = await podNames(scope);
  await scope.ok("rollout", "restart", "deployment/app");
  await available(scope, "Deployment");
  await eventually(
    () => podNames(scope),
    (found) => expect(found).toHaveLength(3),
  );
  const restarted = await podNames(scope);
  expect(restarted.filter((name) => before.includes(name))).toEqual([]);
  await scope.ok("set", "env", "deployment/app", "COLOR=blue");
  await available(scope, "Deployment");
  expect(await environment(scope)).toContain("COLOR=blue\n");
  await scope.ok("rollout", "undo", "deployment/app");
  await available(scope, "Deployment");
  expect(await environment(scope)).not.toContain("COLOR=");
});

check("DaemonSet: one pod runs on each node", async (scope) => {
  await rollOut(scope, "DaemonSet", { template: idle });
  const pods = await scope.list("pods", "app=app");
  const names = pods.map(({ spec }) => spec.nodeName).sort();
  expect(names).toEqual(Array.from({ length: NODES }, (_, index) => `node${index + 1}`));
});

check("StatefulSet: its pods start in order and keep their names", async (scope) => {
  await rollOut(scope, "StatefulSet", { replicas: 3, serviceName: "app", template: idle });
  const pods = ["app-0", "app-1", "app-2"];
  expect((await podNames(scope)).sort()).toEqual(pods);
  const started = await Promise.all(pods.map((name) => scope.pods.status(name)));
  const times = started.map((status) => status?.state.running?.startedAt ?? "");
  expect([...times].sort()).toEqual(times);
  const uid = () => scope.ok("get", "pod", "app-1", "-o", "jsonpath={.metadata.uid}");
  const before = await uid();
  await scope.ok("delete", "pod", "app-1");
  await available(scope, "StatefulSet");
  expect(await uid()).not.toBe(before);
  expect(await scope.pods.output("app-1", "hostname")).toBe("app-1\n");
});

check("Job of three pods, two at a time: all complete, and their logs are kept", async (scope) => {
  const template = podSpec(container("echo done by $HOSTNAME"), { restartPolicy: "Never" });
  await scope.apply(workload("Job", "app", { completions: 3, parallelism: 2, template }));
  await scope.ok("wait", "--for=condition=complete", "job/app", "--timeout=120s");
  const log = await scope.ok("logs", "-l", "job-name=app");
  expect(log.match(/^done by app-/gm)).toHaveLength(3);
});

check("Job whose pods fail: it fails after its limit of retries", async (scope) => {
  const template = podSpec(container("exit 9"), { restartPolicy: "Never" });
  await scope.apply(workload("Job", "app", { backoffLimit: 1, template }));
  await scope.ok("wait", "--for=condition=failed", "job/app", "--timeout=120s");
  const pods = await scope.list("pods", "job-name=app");
  const codes = pods.map(({ status }) => status.containerStatuses?.[0]?.state.terminated?.exitCode);
  expect(codes).toEqual([9, 9]);
});

check("CronJob of each minute: it makes a Job in time, which completes", async (scope) => {
  const template = podSpec(container("echo on time"), { restartPolicy: "Never" });
  const jobTemplate = { spec: { template: { spec: template } } };
  await scope.apply({
    apiVersion: "batch/v1beta1",
    kind: "CronJob",
    metadata: { name: "app" },
    spec: { schedule: "* * * * *", concurrencyPolicy: "Forbid", jobTemplate },
  });
  const logged = async () => {
    const [job] = await scope.list("jobs");
    return job === undefined ? "" : (await scope.call("logs", `job/${job.metadata.name}`)).stdout;
  };
  await eventually(logged, (found) => expect(found).toBe("on time\n"), 150_000);
});
