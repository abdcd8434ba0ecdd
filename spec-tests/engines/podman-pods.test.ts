import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { IMAGE, type Podman } from "../harness/engines/podman.ts";
import { podmanHostTests } from "../harness/engines/podman-host.ts";

const everyday = podmanHostTests();

/** Runs a command that has to succeed. Returns its output without the last line feed. */
async function succeed(engine: Podman, ...args: string[]): Promise<string> {
  const result = await engine.call(...args);
  expect(result, args.join(" ")).toMatchObject({ code: 0 });
  return result.stdout.trimEnd();
}

const NAMESPACES = ["sh", "-c", "for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done"];

async function inPod(engine: Podman, flags: string[], body: () => Promise<void>): Promise<void> {
  await succeed(engine, "pod", "create", "--name", "pod", ...flags);
  try {
    await body();
  } finally {
    await succeed(engine, "pod", "rm", "--force", "--time", "0", "pod");
  }
}

everyday("pod: its containers share network, IPC and hostname, not pids and mounts", async (engine) => {
  await inPod(engine, ["--hostname", "the-pod"], async () => {
    await succeed(engine, "run", "--detach", "--pod", "pod", "--name", "one", IMAGE, "sleep", "1000");
    const first = (await succeed(engine, "exec", "one", ...NAMESPACES)).split("\n");
    const second = (await succeed(engine, "run", "--rm", "--pod", "pod", IMAGE, ...NAMESPACES)).split("\n");
    expect(first).toHaveLength(5);
    expect(first.map((name, index) => name === second[index])).toEqual([true, true, true, false, false]);
    expect(await succeed(engine, "exec", "one", "hostname")).toBe("the-pod");
  });
});

everyday("pod --share pid: containers see each other's processes", async (engine) => {
  await inPod(engine, ["--share", "pid"], async () => {
    await succeed(engine, "run", "--detach", "--pod", "pod", IMAGE, "sleep", "998");
    const seen = await succeed(engine, "run", "--rm", "--pod", "pod", IMAGE, "ps", "-o", "args");
    expect(seen).toMatch(/^sleep 998$/m);
  });
});

everyday("pod create --infra=false: containers run without an infra container", async (engine) => {
  await inPod(engine, ["--infra=false"], async () => {
    await succeed(engine, "run", "--detach", "--pod", "pod", "--name", "one", IMAGE, "sleep", "1000");
    const ids = (
      await succeed(engine, "pod", "ps", "--format", "{{.NumberOfContainers}} {{.Status}}")
    ).trim();
    expect(ids).toBe("1 Running");
  });
});

everyday("pod create --uidmap, --gidmap: its container runs in a user namespace", async (engine) => {
  await inPod(engine, ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"], async () => {
    const show = ["sh", "-c", "cat /proc/self/uid_map; touch /new; stat -c %u /new"];
    const shown = await succeed(engine, "run", "--rm", "--pod", "pod", IMAGE, ...show);
    expect(shown.trim().split(/\s+/)).toEqual(["0", "100000", "65536", "0"]);
  });
});

everyday("pod stop, start, restart, pause, unpause, kill: apply to all its containers", async (engine) => {
  await inPod(engine, [], async () => {
    await succeed(
      engine,
      "create",
      "--pod",
      "pod",
      "--name",
      "one",
      "--stop-timeout",
      "0",
      IMAGE,
      "sleep",
      "1000",
    );
    const states = async (): Promise<string> =>
      (await succeed(engine, "inspect", "--format", "{{.State.Status}}", "one")).trim();
    await succeed(engine, "pod", "start", "pod");
    expect(await states()).toBe("running");
    await succeed(engine, "pod", "pause", "pod");
    expect(await states()).toBe("paused");
    await succeed(engine, "pod", "unpause", "pod");
    expect(await states()).toBe("running");
    await succeed(engine, "pod", "restart", "pod");
    expect(await states()).toBe("running");
    expect(await succeed(engine, "pod", "top", "pod", "args")).toMatch(/^sleep 1000$/m);
    await succeed(engine, "pod", "kill", "pod");
    await expect.poll(states).toBe("exited");
    await succeed(engine, "pod", "stop", "--time", "0", "pod");
  });
});

everyday(
  "pod with a network: containers talk over localhost, and the pod publishes a port",
  async (engine) => {
    await inPod(engine, ["--network", "bridge", "--publish", "127.0.0.1:18080:8080"], async () => {
      const serve = "while :; do echo from the pod | nc -l -p 8080; done";
      await succeed(engine, "run", "--detach", "--pod", "pod", IMAGE, "sh", "-c", serve);
      const ask = async (): Promise<string> =>
        (await engine.call("run", "--rm", "--pod", "pod", IMAGE, "nc", "-w", "2", "127.0.0.1", "8080"))
          .stdout;
      await expect.poll(ask, { timeout: 20_000, interval: 300 }).toBe("from the pod\n");
      const outside = async (): Promise<string> => {
        const flags = ["--rm", "--network", "host", IMAGE];
        return (await engine.call("run", ...flags, "nc", "-w", "2", "127.0.0.1", "18080")).stdout;
      };
      await expect.poll(outside, { timeout: 20_000, interval: 300 }).toBe("from the pod\n");
    });
  },
);

const KUBE = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  WORD: configured
---
apiVersion: v1
kind: Pod
metadata:
  name: played
spec:
  hostname: played-host
  restartPolicy: Never
  securityContext:
    runAsUser: 1000
  volumes:
    - name: shared
      emptyDir: {}
    - name: host
      hostPath: { path: FOLDER, type: Directory }
  initContainers:
    - name: first
      image: ${IMAGE}
      command: ["sh", "-c", "echo made by init > /shared/init"]
      volumeMounts: [{ name: shared, mountPath: /shared }]
  containers:
    - name: writer
      image: ${IMAGE}
      command: ["sh", "-c", "cat /shared/init; echo $WORD; id -u; cat /host/in; hostname; sleep 1000"]
      envFrom: [{ configMapRef: { name: settings } }]
      volumeMounts:
        - { name: shared, mountPath: /shared }
        - { name: host, mountPath: /host, readOnly: true }
    - name: strict
      image: ${IMAGE}
      command: ["sh", "-c", "touch /x 2>&1; grep CapEff /proc/self/status; sleep 1000"]
      securityContext:
        readOnlyRootFilesystem: true
        allowPrivilegeEscalation: false
        capabilities: { drop: ["ALL"] }
`;

everyday(
  "kube play and down, with init container, volumes, ConfigMap and security context: work",
  async (engine) => {
    const folder = join(engine.directory, "host-path");
    mkdirSync(folder);
    writeFileSync(join(folder, "in"), "from the host\n");
    const file = join(engine.directory, "pod.yaml");
    writeFileSync(file, KUBE.replace("FOLDER", folder));
    await succeed(engine, "kube", "play", "--network", "none", file);
    try {
      const logs = async (name: string): Promise<string> => (await engine.call("logs", name)).stdout;
      const expected = "made by init\nconfigured\n1000\nfrom the host\nplayed-host\n";
      await expect.poll(() => logs("played-writer")).toBe(expected);
      await expect.poll(() => logs("played-strict")).toMatch(/Read-only file system\nCapEff:\t0+\n$/);
    } finally {
      await succeed(engine, "kube", "down", "--force", file);
    }
  },
);

everyday("kube play with restart policy and exec probe: the container is healthy", async (engine) => {
  const file = join(engine.directory, "probe.yaml");
  writeFileSync(
    file,
    `apiVersion: v1
kind: Pod
metadata: { name: probed }
spec:
  containers:
    - name: server
      image: ${IMAGE}
      command: ["sh", "-c", "touch /tmp/up; sleep 1000"]
      livenessProbe:
        exec: { command: ["test", "-e", "/tmp/up"] }
        periodSeconds: 1
`,
  );
  await succeed(engine, "kube", "play", "--network", "none", file);
  try {
    const healthy = async (): Promise<number> =>
      (await engine.call("healthcheck", "run", "probed-server")).code;
    await expect.poll(healthy).toBe(0);
  } finally {
    await succeed(engine, "kube", "down", "--force", file);
  }
});

everyday("kube generate: its output can be played", async (engine) => {
  const file = join(engine.directory, "generated.yaml");
  await succeed(
    engine,
    "create",
    "--name",
    "original",
    "--env",
    "A=b",
    IMAGE,
    "sh",
    "-c",
    "echo $A; sleep 1000",
  );
  await succeed(engine, "kube", "generate", "--filename", file, "original");
  await succeed(engine, "rm", "original");
  expect(readFileSync(file, "utf8")).toMatch(/name: A/);
  await succeed(engine, "kube", "play", "--network", "none", file);
  try {
    const logs = async (): Promise<string> => (await engine.call("logs", "original-pod-original")).stdout;
    await expect.poll(logs).toBe("b\n");
  } finally {
    await succeed(engine, "kube", "down", "--force", file);
  }
});
