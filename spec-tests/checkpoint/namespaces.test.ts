import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Config, setNamespace } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import {
  COUNT,
  checkpoint,
  countAbove,
  counting,
  criuSpec,
  imagesIn,
  NO_STREAMS,
  restore,
  saveAndRestore,
  startedShell,
  succeeded,
  withHostPrograms,
} from "../harness/helpers/checkpoint.ts";
import { held } from "../harness/host/held-namespace.ts";
import { mappedShell } from "../harness/host/user-namespace.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";

const CLAUSE = "practice of runc";

function namespaceOf(pid: number | string, name: string): string {
  return readlinkSync(`/proc/${pid}/ns/${name}`);
}

for (const [type, file] of [
  ["network", "net"],
  ["pid", "pid"],
  ["ipc", "ipc"],
  ["uts", "uts"],
] as const) {
  criuSpec(`restore, the ${type} namespace with a path: joined again`, CLAUSE, async (sandbox) => {
    const path = await held(sandbox, type);
    // A program without children: in a shared pid namespace, others may have taken their process ids by then.
    const container = await startedShell(sandbox, "mkfifo /tmp/fifo; read line </tmp/fifo", (config) => {
      setNamespace(config, type, { type, path });
      if (type === "uts") config.hostname = "";
    });
    await expect.poll(() => existsSync(`${container.rootfs}/tmp/fifo`)).toBe(true);
    await saveAndRestore(sandbox, container);
    const { pid, status } = await container.state();
    expect(status).toBe("running");
    expect(namespaceOf(pid, file)).toBe(readlinkSync(path));
  });
}

criuSpec("restore, a network namespace with a missing path: error, nothing left", CLAUSE, async (sandbox) => {
  const container = await counting(sandbox, (config) => {
    setNamespace(config, "network", { type: "network", path: "/proc/self/ns/net" });
  });
  const images = imagesIn(sandbox);
  succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
  setNamespace(container.config, "network", { type: "network", path: "/no/such/namespace" });
  container.writeConfig();
  expectRefusal(await restore(sandbox, container, images, [], {}), /\/no\/such\/namespace/);
  expect((await container.stateCommand()).stderr).toContain("does not exist");
  expect(await sandbox.traces()).toEqual([]);
});

criuSpec(
  "restore: a new network namespace has its loopback interface up",
  "practice: as after create",
  async (sandbox) => {
    const container = await counting(sandbox);
    await countAbove(container, 1);
    await saveAndRestore(sandbox, container);
    const { stdout } = await container.exec(["ip", "address", "show", "lo"]);
    expect(stdout).toMatch(/<LOOPBACK,UP/);
    expect(stdout).toContain("inet 127.0.0.1/8");
  },
);

criuSpec(
  "checkpoint, restore without a pid, cgroup and network namespace: the program continues",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox, (config) => {
      for (const type of ["pid", "cgroup", "network"]) setNamespace(config, type, undefined);
    });
    const reached = await countAbove(container, 3);
    await saveAndRestore(sandbox, container);
    await countAbove(container, reached);
    // The mount shows the host's whole hierarchy, with the container's own cgroup in it.
    const { stdout } = await container.exec([
      "sh",
      "-c",
      'own=$(sed -n s/^0:://p /proc/self/cgroup); ls "/sys/fs/cgroup$own"',
    ]);
    expect(stdout).toContain("cgroup.procs");
    expect((await container.exec(["grep", "/sys/fs/cgroup ", "/proc/mounts"])).stdout).toMatch(
      / cgroup2 ro,/,
    );
  },
);

/** A container in a user namespace, whose root is another user on the host. */
async function mapped(sandbox: Sandbox): Promise<Container> {
  const container = mappedShell(sandbox, COUNT, (config) => {
    config.root.readonly = false;
  });
  await container.started(NO_STREAMS);
  return container;
}

criuSpec(
  "checkpoint, restore in a user namespace: the program continues as the same user on the host",
  CLAUSE,
  async (sandbox) => {
    const container = await mapped(sandbox);
    const reached = await countAbove(container, 3);
    const images = imagesIn(sandbox);
    // The container's root, an unprivileged user on the host, reads the images. Engines make the folder so, too.
    mkdirSync(images.images, { mode: 0o755 });
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    succeeded(await restore(sandbox, container, images), images, "restore.log");
    const { pid } = await container.state();
    expect(readFileSync(`/proc/${pid}/status`, "utf8")).toMatch(/^Uid:\t100000\t/m);
    await countAbove(container, reached);
  },
);

/**
 * Since Linux 6.16, getsockopt(SO_PASSCRED) works only for Unix sockets. criu 4.1.1 calls it for all sockets and fails, whichever
 * runtime calls criu.
 */
function criuKnowsSockets(): boolean {
  const question = "import socket; socket.socket().getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED)";
  return spawnSync("python3", ["-c", question]).status === 0;
}

const SOCKETS_PROBLEM =
  "criu 4.1.1 can't save TCP sockets on Linux 6.16 and later: getsockopt(SO_PASSCRED) fails";

/** A container that sends lines to itself over TCP, with the host's Python. */
async function talking(
  sandbox: Sandbox,
  mutate: (config: Config) => void = () => undefined,
): Promise<Container> {
  const container = sandbox.container((config) => {
    config.root.readonly = false;
    config.process.args = ["python3", "/tmp/tcp-counter.py", "/tmp/got"];
    withHostPrograms(config);
    mutate(config);
  });
  container.writeFile(
    "tmp/tcp-counter.py",
    readFileSync(join(import.meta.dirname, "../harness/helpers/tcp-counter.py"), "utf8"),
  );
  await container.started(NO_STREAMS);
  await linesAbove(container, 5);
  return container;
}

function lines(container: Container): number[] {
  const got = `${container.rootfs}/tmp/got`;
  if (!existsSync(got)) return [];
  return [...readFileSync(got, "utf8").matchAll(/^line (\d+)\n/gm)].map(([, line]) => Number(line));
}

async function linesAbove(container: Container, number: number): Promise<void> {
  await expect.poll(() => lines(container).length).toBeGreaterThan(number);
}

async function expectContinued(container: Container, saved: number): Promise<void> {
  await linesAbove(container, saved + 5);
  const all = lines(container);
  expect(all).toEqual(all.map((_, index) => index + 1));
}

criuSpec(
  "checkpoint without --tcp-established, a TCP connection: refused",
  CLAUSE,
  async (sandbox, context) => {
    if (!criuKnowsSockets()) context.skip(SOCKETS_PROBLEM);
    const container = await talking(sandbox);
    const images = imagesIn(sandbox);
    const refused = await checkpoint(sandbox, container, images);
    expectRefusal(refused, IS_RUNTS ? /--tcp-established/ : undefined);
    expect((await container.state()).status).toBe("running");
    await linesAbove(container, lines(container).length);
  },
);

for (const [where, type] of [
  ["in a network namespace with a path", "held"],
  ["over the loopback interface of a new network namespace", "new"],
] as const) {
  criuSpec(
    `checkpoint, restore --tcp-established ${where}: the connection continues without losing a line`,
    CLAUSE,
    async (sandbox, context) => {
      if (!criuKnowsSockets()) context.skip(SOCKETS_PROBLEM);
      const path = type === "held" ? await held(sandbox, "network", "ip link set lo up") : undefined;
      const container = await talking(sandbox, (config) => {
        if (path !== undefined) setNamespace(config, "network", { type: "network", path });
      });
      const images = imagesIn(sandbox);
      succeeded(await checkpoint(sandbox, container, images, "--tcp-established"), images, "dump.log");
      const saved = lines(container).length;
      succeeded(await restore(sandbox, container, images, ["--tcp-established"]), images, "restore.log");
      await expectContinued(container, saved);
    },
  );
}
