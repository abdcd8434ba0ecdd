import { expect } from "vitest";
import { check, type Scope } from "../harness/kubernetes/check.ts";
import { eventually } from "../harness/kubernetes/eventually.ts";
import { Node } from "../harness/kubernetes/node.ts";
import { container, type Fields, podSpec } from "../harness/kubernetes/pods.ts";

const node = new Node(1);

function mounted(mountPath: string, fields: Fields = {}): Fields {
  return { name: "data", mountPath, ...fields };
}

const emptyDir = { volumes: [{ name: "data", emptyDir: {} }] };

/** A volume of the first node that a test names after its namespace. */
function hostPath(scope: Scope, type = "DirectoryOrCreate"): Fields {
  const path = `/tmp/${scope.namespace}`;
  return { nodeName: node.name, volumes: [{ name: "data", hostPath: { path, type } }] };
}

check("subPath: a container sees a folder of the volume", async ({ pods }) => {
  const part = container(undefined, { volumeMounts: [mounted("/part", { subPath: "a/b" })] });
  const whole = container(undefined, { name: "whole", volumeMounts: [mounted("/whole")] });
  await pods.start("pod", podSpec([part, whole], emptyDir));
  await pods.output("pod", "echo text >/part/file");
  expect(await pods.output("pod", "cat /whole/a/b/file", "whole")).toBe("text\n");
});

check("subPath of one file of a ConfigMap: the file, and nothing else of its folder", async (scope) => {
  await scope.ok("create", "configmap", "settings", "--from-literal=one=first", "--from-literal=two=second");
  const volumeMounts = [mounted("/etc/one.conf", { subPath: "one" })];
  const volumes = [{ name: "data", configMap: { name: "settings" } }];
  const { log } = await scope.pods.run(
    "cat /etc/one.conf; echo; test -e /etc/two || echo none",
    { volumeMounts },
    { volumes },
  );
  expect(log).toBe("first\nnone\n");
});

check("subPath that is a link out of the volume: the container is not created", async (scope) => {
  const init = container("ln -s /etc /data/link", { name: "init", volumeMounts: [mounted("/data")] });
  const main = container("cat /data/passwd", {
    volumeMounts: [mounted("/data", { subPath: "link/nothing-of-the-node" })],
  });
  await scope.pods.create("pod", podSpec(main, { ...emptyDir, initContainers: [init] }));
  const { waiting } = await scope.pods.state(
    "pod",
    ({ state }) => state.waiting?.reason === "CreateContainerConfigError",
  );
  expect(waiting?.message).toContain("subPath");
});

check("subPathExpr: the folder is named by a variable", async ({ pods }) => {
  const env = [{ name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }];
  const part = container(undefined, { env, volumeMounts: [mounted("/part", { subPathExpr: "of-$(POD)" })] });
  const whole = container(undefined, { name: "whole", volumeMounts: [mounted("/whole")] });
  await pods.start("named", podSpec([part, whole], emptyDir));
  expect(await pods.output("named", "ls /whole", "whole")).toBe("of-named\n");
});

check("mountPropagation: mounts pass in both directions, in one, or not at all", async (scope) => {
  const { pods } = scope;
  const volume = (name: string, mountPropagation: string, fields: Fields = {}): Fields =>
    container(undefined, { name, volumeMounts: [mounted("/data", { mountPropagation })], ...fields });
  const privileged = { securityContext: { privileged: true } };
  const containers = [
    volume("both", "Bidirectional", privileged),
    volume("in", "HostToContainer"),
    volume("none", "None"),
  ];
  await pods.start("pod", podSpec(containers, hostPath(scope)));
  const folder = `/tmp/${scope.namespace}`;
  const onNode = await node.call(
    "sh",
    "-ec",
    `mkdir ${folder}/node; mount -t tmpfs n ${folder}/node; echo node >${folder}/node/file`,
  );
  expect(onNode.stderr).toBe("");
  await pods.output("pod", "mkdir /data/pod; mount -t tmpfs p /data/pod; echo pod >/data/pod/file", "both");
  const seen = async (name: string) =>
    (await pods.shell("pod", "cat /data/node/file /data/pod/file", name)).stdout;
  expect(await seen("both")).toBe("node\npod\n");
  expect(await seen("in")).toBe("node\npod\n");
  expect(await seen("none")).toBe("");
  expect((await node.call("cat", `${folder}/pod/file`)).stdout).toBe("pod\n");
  await scope.ok("delete", "pod", "pod");
  expect((await node.call("umount", `${folder}/node`, `${folder}/pod`)).code).toBe(0);
});

check("projected volume: ConfigMap, Secret, fields of the pod and a token in one folder", async (scope) => {
  await scope.ok("create", "configmap", "settings", "--from-literal=color=blue");
  await scope.ok("create", "secret", "generic", "settings", "--from-literal=word=hush");
  const name = { name: "settings" };
  const labels = { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] };
  const token = { path: "token", expirationSeconds: 600, audience: "test" };
  const sources = [
    { configMap: name },
    { secret: name },
    { downwardAPI: labels },
    { serviceAccountToken: token },
  ];
  const volumes = [{ name: "data", projected: { defaultMode: 0o440, sources } }];
  const script = "cd /data; ls; cat color word labels; stat -L -c %a word; cut -d . -f 2 token";
  const { log } = await scope.pods.run(
    script,
    { volumeMounts: [mounted("/data")] },
    { volumes },
    { labels: { app: "x" } },
  );
  const shown = /^color\nlabels\ntoken\nword\nbluehushapp="x"440\n(.*)\n$/.exec(log);
  expect(shown, log).not.toBeNull();
  const claims = JSON.parse(Buffer.from(shown?.[1] ?? "", "base64url").toString());
  expect(claims.aud).toEqual(["test"]);
  expect(claims["kubernetes.io"].namespace).toBe(scope.namespace);
});

check("ConfigMap that changes: a running container sees the new content", async (scope) => {
  await scope.ok("create", "configmap", "settings", "--from-literal=color=blue");
  const volumes = [{ name: "data", configMap: { name: "settings" } }];
  await scope.pods.start(
    "pod",
    podSpec(container(undefined, { volumeMounts: [mounted("/data")] }), { volumes }),
  );
  expect(await scope.pods.output("pod", "cat /data/color")).toBe("blue");
  await scope.ok("patch", "configmap", "settings", "-p", '{"data":{"color":"red"}}');
  await eventually(
    () => scope.pods.output("pod", "cat /data/color"),
    (found) => expect(found).toBe("red"),
    150_000,
  );
});

check("Secret: its files are in memory, with the mode that is asked for", async (scope) => {
  await scope.ok("create", "secret", "generic", "settings", "--from-literal=word=hush");
  const volumes = [{ name: "data", secret: { secretName: "settings", defaultMode: 0o400 } }];
  const script = "stat -L -c %a /data/word; grep ' /data ' /proc/self/mountinfo";
  const { log } = await scope.pods.run(script, { volumeMounts: [mounted("/data")] }, { volumes });
  expect(log).toMatch(/^400\n.* \/data ro,.* - tmpfs /);
});

check("emptyDir of medium Memory: a tmpfs that the containers share", async ({ pods }) => {
  const fields = { volumeMounts: [mounted("/data")] };
  const volumes = [{ name: "data", emptyDir: { medium: "Memory" } }];
  await pods.start(
    "pod",
    podSpec([container(undefined, fields), container(undefined, { name: "other", ...fields })], { volumes }),
  );
  await pods.output("pod", "echo text >/data/file");
  expect(await pods.output("pod", "cat /data/file", "other")).toBe("text\n");
  expect(await pods.output("pod", "stat -f -c %T /data")).toBe("tmpfs\n");
});

check("hostPath of a folder: pod and node see each other's files", async (scope) => {
  const volumeMounts = [mounted("/data")];
  await scope.pods.start(
    "pod",
    podSpec(container("echo pod >/data/file; exec sleep 1000000", { volumeMounts }), hostPath(scope)),
  );
  const read = async () => (await node.call("cat", `/tmp/${scope.namespace}/file`)).stdout;
  await eventually(read, (found) => expect(found).toBe("pod\n"));
});

check("hostPath that has to be there and is not: the pod waits, and the event says why", async (scope) => {
  await scope.pods.create(
    "pod",
    podSpec(container("", { volumeMounts: [mounted("/data")] }), hostPath(scope, "Directory")),
  );
  const events = () => scope.ok("get", "events", "-o", "jsonpath={.items[*].message}");
  await eventually(events, (found) => expect(found).toContain("hostPath type check failed"));
});

check("hostPath of a device: a privileged container may use it, another may not", async ({ pods }) => {
  const device = (name: string, securityContext: Fields): Fields =>
    container(undefined, { name, volumeMounts: [mounted("/device")], securityContext });
  const containers = [
    device("privileged", { privileged: true }),
    // With the capability that /dev/kmsg takes, only the rules for devices refuse it.
    device("other", { capabilities: { add: ["SYSLOG"] } }),
  ];
  const volumes = [{ name: "data", hostPath: { path: "/dev/kmsg", type: "CharDevice" } }];
  await pods.start("pod", podSpec(containers, { nodeName: node.name, volumes }));
  expect((await pods.shell("pod", ": </device", "privileged")).code).toBe(0);
  const { code, stderr } = await pods.shell("pod", ": </device", "other");
  expect(code).toBe(1);
  expect(stderr).toContain("can't open /device: Operation not permitted");
});

check("readOnly mount: writing is refused", async ({ pods }) => {
  const { log } = await pods.run(
    "touch /data/file",
    { volumeMounts: [mounted("/data", { readOnly: true })] },
    emptyDir,
  );
  expect(log).toBe("touch: /data/file: Read-only file system\n");
});
