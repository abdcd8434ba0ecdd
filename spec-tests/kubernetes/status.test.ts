import { expect } from "vitest";
import { check } from "../harness/kubernetes/check.ts";
import { eventually } from "../harness/kubernetes/eventually.ts";
import { container, podSpec } from "../harness/kubernetes/pods.ts";

check("termination message: the file's content, beside exit code and reason", async ({ pods }) => {
  const ended = await pods.run("echo why >/dev/termination-log; exit 3");
  expect(ended).toMatchObject({ exitCode: 3, reason: "Error", message: "why\n" });
  expect(Date.parse(ended.finishedAt)).toBeGreaterThanOrEqual(Date.parse(ended.startedAt));
});

check("termination message in a file of another name: its content", async ({ pods }) => {
  const terminationMessagePath = "/run/message";
  const ended = await pods.run("echo by choice >/run/message", { terminationMessagePath });
  expect(ended).toMatchObject({ exitCode: 0, reason: "Completed", message: "by choice\n" });
});

check(
  "termination message FallbackToLogsOnError: the log's end after a failure, nothing after success",
  async ({ pods }) => {
    const terminationMessagePolicy = "FallbackToLogsOnError";
    const never = { restartPolicy: "Never" };
    await pods.create(
      "fails",
      podSpec(container("echo last words; exit 1", { terminationMessagePolicy }), never),
    );
    await pods.create("succeeds", podSpec(container("echo last words", { terminationMessagePolicy }), never));
    expect((await pods.ended("fails")).message).toBe("last words\n");
    expect((await pods.ended("succeeds")).message).toBeUndefined();
  },
);

check("container killed by SIGKILL: exit code 137 and reason Error", async ({ pods }) => {
  // The kernel protects the first process of a process namespace, which here is the sandbox's. Kubernetes makes $$ of $$$$.
  const ended = await pods.run("kill -KILL $$$$", {}, { shareProcessNamespace: true });
  expect(ended).toMatchObject({ exitCode: 137, reason: "Error" });
});

check("container whose command does not exist: exit code 128 and the runtime's reason", async ({ pods }) => {
  const command = ["no-such-command"];
  await pods.create("pod", podSpec(container("", { command }), { restartPolicy: "Never" }));
  const ended = await pods.ended("pod");
  expect(ended).toMatchObject({ exitCode: 128, reason: "StartError" });
  expect(ended.message).toContain('exec: "no-such-command": executable file not found in $PATH');
});

check("container that always fails: CrashLoopBackOff, with the last exit code", async ({ pods }) => {
  await pods.create("pod", podSpec(container("exit 6")));
  await pods.state("pod", ({ state }) => state.waiting?.reason === "CrashLoopBackOff");
  const status = await pods.status("pod");
  expect(status?.lastState.terminated).toMatchObject({ exitCode: 6, reason: "Error" });
});

check("restartPolicy OnFailure: a container starts again until it succeeds", async ({ pods }) => {
  const script = "test -e /data/second || { touch /data/second; exit 1; }";
  const volumeMounts = [{ name: "data", mountPath: "/data" }];
  const volumes = [{ name: "data", emptyDir: {} }];
  await pods.create(
    "pod",
    podSpec(container(script, { volumeMounts }), { volumes, restartPolicy: "OnFailure" }),
  );
  await eventually(
    async () => (await pods.get("pod")).status.phase,
    (found) => expect(found).toBe("Succeeded"),
  );
  expect((await pods.status("pod"))?.restartCount).toBe(1);
});

check("pod with activeDeadlineSeconds: it fails when they are over", async ({ pods }) => {
  await pods.create("pod", podSpec(container(), { activeDeadlineSeconds: 3 }));
  await eventually(
    async () => (await pods.get("pod")).status,
    (found) =>
      expect(found).toMatchObject({
        phase: "Failed",
        reason: "DeadlineExceeded",
      }),
  );
});

check("image that is not on the node and must not be pulled: ErrImageNeverPull", async ({ pods }) => {
  const missing = { image: "localhost/missing:1", imagePullPolicy: "Never" };
  await pods.create("pod", podSpec(container("true", missing)));
  await pods.state("pod", ({ state }) => state.waiting?.reason === "ErrImageNeverPull");
});

check("variables from fields of the pod, a ConfigMap and a Secret: the program has them", async (scope) => {
  const metadata = { name: "settings" };
  await scope.apply(
    { apiVersion: "v1", kind: "ConfigMap", metadata, data: { COLOR: "blue" } },
    { apiVersion: "v1", kind: "Secret", metadata, stringData: { word: "hush" } },
  );
  const env = [
    { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
    { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
    { name: "WORD", valueFrom: { secretKeyRef: { name: "settings", key: "word" } } },
    { name: "SENTENCE", value: "$(POD) says $(WORD)" },
  ];
  const envFrom = [{ configMapRef: { name: "settings" } }];
  const { log } = await scope.pods.run('echo "$SENTENCE, $COLOR"; echo $NODE', { env, envFrom });
  expect(log).toMatch(/^once says hush, blue\nnode[123]\n$/);
});
