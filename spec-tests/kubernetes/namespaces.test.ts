import { expect } from "vitest";
import { check } from "../harness/kubernetes/check.ts";
import { eventually } from "../harness/kubernetes/eventually.ts";
import { Node } from "../harness/kubernetes/node.ts";
import { container, podSpec } from "../harness/kubernetes/pods.ts";

const node = new Node(1);

/** Whether a namespace of a container is the node's. */
const HOST_NAMESPACES = [
  { field: "hostPID", namespace: "pid" },
  { field: "hostIPC", namespace: "ipc" },
  { field: "hostNetwork", namespace: "net" },
];

for (const { field, namespace } of HOST_NAMESPACES)
  check(
    `${field}: the container is in the node's ${namespace} namespace, and in its own of the others`,
    async ({ pods }) => {
      await pods.start("pod", podSpec(container(), { nodeName: node.name, [field]: true }));
      for (const other of HOST_NAMESPACES) {
        const link = `/proc/self/ns/${other.namespace}`;
        const ofNode = (await node.call("readlink", link)).stdout;
        const ofPod = await pods.output("pod", `readlink ${link}`);
        if (other.namespace === namespace) expect(ofPod).toBe(ofNode);
        else expect(ofPod).not.toBe(ofNode);
      }
    },
  );

check("hostPID: the container sees the node's processes", async ({ pods }) => {
  const { log } = await pods.run("ps -o args", {}, { nodeName: node.name, hostPID: true });
  expect(log).toMatch(/^\S*kubelet /m);
});

check("hostNetwork: the pod has the node's address and name", async ({ pods }) => {
  await pods.start("pod", podSpec(container(), { nodeName: node.name, hostNetwork: true }));
  const { podIP, hostIP } = (await pods.get("pod")).status;
  expect([podIP, hostIP]).toEqual([node.address, node.address]);
  expect(await pods.output("pod", "hostname")).toBe(`${node.name}\n`);
});

check(
  "shareProcessNamespace: the containers see each other's processes, and the sandbox's is the first",
  async ({ pods }) => {
    const containers = [container("exec sleep 11111"), container("exec sleep 22222", { name: "other" })];
    await pods.start("pod", podSpec(containers, { shareProcessNamespace: true }));
    const processes = await pods.output("pod", "ps -o pid,args");
    expect(processes).toMatch(/^ +1 \/pause$/m);
    expect(processes).toContain("sleep 11111");
    expect(processes).toContain("sleep 22222");
  },
);

check("shareProcessNamespace: a signal reaches the other container's process", async ({ pods }) => {
  const volumeMounts = [{ name: "shared", mountPath: "/shared" }];
  // Kubernetes makes $$ of $$$$.
  const waiting = "trap 'exit 7' USR1; echo $$$$ >/shared/pid; while :; do sleep 0.1; done";
  const containers = [
    container(undefined, { volumeMounts }),
    container(waiting, { name: "other", volumeMounts }),
  ];
  const fields = {
    shareProcessNamespace: true,
    restartPolicy: "Never",
    volumes: [{ name: "shared", emptyDir: {} }],
  };
  await pods.start("pod", podSpec(containers, fields));
  await eventually(
    () => pods.shell("pod", "kill -USR1 $(cat /shared/pid)"),
    ({ code }) => expect(code).toBe(0),
  );
  expect((await pods.ended("pod", "other")).exitCode).toBe(7);
});

check(
  "two containers of a pod: they share network, IPC and host name, and nothing else",
  async ({ pods }) => {
    await pods.start("pod", podSpec([container(), container(undefined, { name: "other" })]));
    const namespaces = async (name: string): Promise<Record<string, string>> => {
      const script = "for n in ipc mnt net pid uts; do echo $n $(readlink /proc/self/ns/$n); done";
      const output = await pods.output("pod", script, name);
      return Object.fromEntries(
        output
          .trim()
          .split("\n")
          .map((line) => line.split(" ")),
      );
    };
    const [main, other] = [await namespaces("main"), await namespaces("other")];
    const shared = Object.keys(main).filter((name) => main[name] === other[name]);
    expect(shared).toEqual(["ipc", "net", "uts"]);
  },
);

check("hostname, hostAliases and dnsConfig: the files of the pod have them", async ({ pods }) => {
  const dnsConfig = { nameservers: ["192.0.2.1"], searches: ["example.org"] };
  const hostAliases = [{ ip: "192.0.2.2", hostnames: ["alias.example.org"] }];
  const fields = { hostname: "chosen", hostAliases, dnsPolicy: "None", dnsConfig };
  const { log } = await pods.run("hostname; cat /etc/hosts /etc/resolv.conf", {}, fields);
  expect(log).toMatch(/^chosen\n/);
  expect(log).toMatch(/^192\.0\.2\.2\talias\.example\.org$/m);
  expect(log).toMatch(/^nameserver 192\.0\.2\.1$/m);
  expect(log).toMatch(/^search example\.org$/m);
});
