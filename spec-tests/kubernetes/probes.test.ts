import { expect } from "vitest";
import { lines } from "../harness/engines/engine.ts";
import { check, type Scope } from "../harness/kubernetes/check.ts";
import { eventually } from "../harness/kubernetes/eventually.ts";
import { BUSYBOX } from "../harness/kubernetes/images.ts";
import { Node } from "../harness/kubernetes/node.ts";
import { container, type Fields, podSpec } from "../harness/kubernetes/pods.ts";

/** A probe, each second, that runs a script; the first failure counts. */
function probe(script: string, fields: Fields = {}): Fields {
  return { exec: { command: ["sh", "-c", script] }, periodSeconds: 1, failureThreshold: 1, ...fields };
}

function events(scope: Scope): Promise<string> {
  return scope.ok("get", "events", "-o", "jsonpath={range .items[*]}{.reason}: {.message}{end}");
}

check("startup probe by exec: the other probes wait until it succeeds", async ({ pods }) => {
  const script = "sleep 4; touch /up; exec sleep 1000000";
  const startupProbe = probe("test -e /up", { failureThreshold: 60 });
  await pods.start("pod", podSpec(container(script, { startupProbe, livenessProbe: probe("test -e /up") })));
  expect((await pods.status("pod"))?.restartCount).toBe(0);
});

check("startup probe that fails too often: the container starts again", async ({ pods }) => {
  const startupProbe = probe("test -e /never", { failureThreshold: 2 });
  await pods.create("pod", podSpec(container(undefined, { startupProbe })));
  await pods.state("pod", ({ restartCount }) => restartCount > 0);
});

check(
  "liveness probe by exec: a container that fails it starts again, and the event has its output",
  async (scope) => {
    const script = "touch /alive; sleep 3; rm /alive; exec sleep 1000000";
    const livenessProbe = probe("test -e /alive || { echo not alive; exit 1; }");
    await scope.pods.create("pod", podSpec(container(script, { livenessProbe })));
    await scope.pods.state(
      "pod",
      ({ restartCount, state }) => restartCount > 0 && state.running !== undefined,
    );
    expect(await events(scope)).toMatch(/Unhealthy: Liveness probe failed: not alive/);
  },
);

check("readiness probe by exec: the pod is ready while it succeeds", async ({ pods }) => {
  await pods.start(
    "pod",
    podSpec(container("touch /ready; exec sleep 1000000", { readinessProbe: probe("test -e /ready") })),
  );
  await pods.output("pod", "rm /ready");
  await pods.state("pod", ({ ready }) => !ready);
  await pods.output("pod", "touch /ready");
  await pods.ready("pod");
  expect((await pods.status("pod"))?.restartCount).toBe(0);
});

check("readiness probe by exec that takes too long: it has failed", async (scope) => {
  const readinessProbe = probe("exec sleep 60", { timeoutSeconds: 1 });
  await scope.pods.create("pod", podSpec(container(undefined, { readinessProbe })));
  await eventually(
    () => events(scope),
    (found) => expect(found).toMatch(/Unhealthy: Readiness probe failed: /),
  );
});

check("readiness probe by HTTP and by TCP: the pod's address answers", async ({ pods }) => {
  const serving = "mkdir /www; echo up >/www/index.html; httpd -p 80 -h /www; exec httpd -f -p 81 -h /www";
  const probes = {
    readinessProbe: { httpGet: { port: 80, path: "/index.html" } },
    livenessProbe: { tcpSocket: { port: 81 } },
  };
  await pods.start("pod", podSpec(container(serving, probes)));
  expect((await pods.status("pod"))?.ready).toBe(true);
});

check("postStart hook: it has run before the container counts as running", async ({ pods }) => {
  const lifecycle = { postStart: { exec: { command: ["sh", "-c", "sleep 1; touch /hooked"] } } };
  await pods.start("pod", podSpec(container(undefined, { lifecycle })));
  expect((await pods.shell("pod", "test -e /hooked")).code).toBe(0);
});

check("postStart hook that fails: the container is killed, and the event has the reason", async (scope) => {
  const lifecycle = { postStart: { exec: { command: ["sh", "-c", "echo no luck >&2; exit 3"] } } };
  await scope.pods.create("pod", podSpec(container(undefined, { lifecycle })));
  await eventually(
    () => events(scope),
    (found) => expect(found).toMatch(/FailedPostStartHook: .*no luck/),
  );
  await scope.pods.state("pod", ({ lastState }) => lastState.terminated !== undefined);
});

/** A pod of the first node whose /host is a folder of that node, so that something is left after its end. */
function withHostFolder(scope: Scope, script: string, fields: Fields, ofPod: Fields = {}): Fields {
  const volumeMounts = [{ name: "host", mountPath: "/host" }];
  const hostPath = { path: hostFolder(scope), type: "DirectoryOrCreate" };
  const volumes = [{ name: "host", hostPath }];
  return podSpec(container(script, { volumeMounts, ...fields }), { nodeName: "node1", volumes, ...ofPod });
}

function hostFolder({ namespace }: Scope): string {
  return `/tmp/${namespace}`;
}

check("end of a pod: its preStop hook, then SIGTERM, then SIGKILL after the grace period", async (scope) => {
  const clock = "read -r now rest </proc/uptime; echo $now";
  const deaf = `trap 'echo TERM >>/host/log; ${clock} >/host/asked' TERM; while :; do ${clock} >>/host/alive; sleep 0.1; done`;
  const lifecycle = { preStop: { exec: { command: ["sh", "-c", "echo hook >>/host/log"] } } };
  const spec = withHostFolder(scope, deaf, { lifecycle }, { terminationGracePeriodSeconds: 4 });
  await scope.pods.start("pod", spec);
  await scope.ok("delete", "pod", "pod");
  const read = async (file: string) =>
    lines((await new Node(1).call("cat", `${hostFolder(scope)}/${file}`)).stdout);
  expect(await read("log")).toEqual(["hook", "TERM"]);
  const [asked] = await read("asked");
  // The grace period begins with the hook. However long that takes, two seconds are left after it.
  expect(Number((await read("alive")).at(-1)) - Number(asked)).toBeGreaterThan(1);
});

check(
  "init containers: they run one after the other before the others, and share volumes",
  async ({ pods }) => {
    const volumeMounts = [{ name: "shared", mountPath: "/shared" }];
    const init = ["one", "two"].map((name) =>
      container(`sleep 0.3; echo ${name} >>/shared/log`, { name, volumeMounts }),
    );
    const main = container("cat /shared/log; exec sleep 1000000", { volumeMounts });
    const volumes = [{ name: "shared", emptyDir: {} }];
    await pods.start("pod", podSpec(main, { initContainers: init, volumes }));
    expect(await pods.output("pod", "cat /shared/log")).toBe("one\ntwo\n");
    for (const name of ["one", "two"]) expect((await pods.ended("pod", name)).reason).toBe("Completed");
  },
);

check(
  "init container that fails in a pod without restarts: the pod fails, the others never start",
  async ({ pods }) => {
    const initContainers = [container("exit 5", { name: "init" })];
    await pods.create("pod", podSpec(container(), { initContainers, restartPolicy: "Never" }));
    expect((await pods.ended("pod", "init")).exitCode).toBe(5);
    await eventually(
      async () => (await pods.get("pod")).status.phase,
      (found) => expect(found).toBe("Failed"),
    );
    expect((await pods.status("pod"))?.state.waiting?.reason).toBe("PodInitializing");
  },
);

check(
  "ephemeral container in a running pod: it sees the target's processes and the pod's network",
  async (scope) => {
    const { pods } = scope;
    await pods.start("pod", podSpec(container("exec sleep 123456")));
    const debug = ["debug", "pod", `--image=${BUSYBOX}`, "--target=main", "--container=debugger"];
    await scope.ok(...debug, "--", "sh", "-c", "ps; hostname; exec sleep 1000000");
    await pods.state("pod", ({ state }) => state.running !== undefined, "debugger");
    const logged = () => scope.ok("logs", "pod", "-c", "debugger");
    await eventually(logged, (found) => expect(found).toMatch(/sleep 123456[\s\S]*\npod\n$/));
    const network = "readlink /proc/self/ns/net";
    expect(await pods.output("pod", network, "debugger")).toBe(await pods.output("pod", network));
  },
);
