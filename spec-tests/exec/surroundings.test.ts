import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { type Config, setNamespace } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { expectInitAlone, running } from "../harness/exec.ts";
import { BASE, mappedShell } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice of runc and crun";

/** Executes a program in the background, and returns its pid. */
async function background(sandbox: Sandbox, container: Container, ...flags: string[]): Promise<number> {
  const pidFile = sandbox.path(`pid-${flags.length}`);
  const result = await container.exec(["sleep", "1000"], {
    flags: ["--detach", "--pid-file", pidFile, ...flags],
  });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return Number(readFileSync(pidFile, "utf8"));
}

function namespaces(pid: number): string[] {
  return readdirSync(`/proc/${pid}/ns`).map((name) => `${name} ${readlinkSync(`/proc/${pid}/ns/${name}`)}`);
}

function cgroupOf(pid: number): string | undefined {
  return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1];
}

/** Shares the host's pid namespace, and binds its /proc, since a new procfs needs a pid namespace. */
function withoutPidNamespace(config: Config): void {
  setNamespace(config, "pid", undefined);
  config.mounts = config.mounts.map((mount) =>
    mount.destination === "/proc"
      ? { destination: "/proc", type: "none", source: "/proc", options: ["rbind"] }
      : mount,
  );
}

spec("exec: runs in all namespaces of init", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const { pid } = await container.state();
  expect(namespaces(await background(sandbox, container))).toEqual(namespaces(pid));
});

spec("exec: sees the container's root, hostname and processes", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("exec sleep 1000");
  container.writeFile("etc/mark", "of the rootfs\n");
  await container.started();
  const { stdout } = await container.exec(["sh", "-c", "cat /etc/mark; hostname; cat /proc/1/cmdline"]);
  expect(stdout).toBe("of the rootfs\nbox\nsleep\x001000\0");
});

spec("exec: leads a session of its own", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const { stdout } = await container.exec(["cat", "/proc/self/stat"]);
  const fields = stdout.split(" ");
  expect([fields[4], fields[5]]).toEqual([fields[0], fields[0]]);
});

spec("exec: runs in the cgroup of init", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  expect(cgroupOf(await background(sandbox, container))).toBe(`/${container.id}`);
});

spec(
  "exec, init has moved to a sub-cgroup: runs in that sub-cgroup",
  "cgroups(7): only leaves have processes",
  async (sandbox) => {
    const container = await running(sandbox);
    const { pid } = await container.state();
    mkdirSync(`/sys/fs/cgroup/${container.id}/inner`);
    writeFileSync(`/sys/fs/cgroup/${container.id}/inner/cgroup.procs`, String(pid));
    expect(cgroupOf(await background(sandbox, container))).toBe(`/${container.id}/inner`);
  },
  {
    crun: "exec joins init's cgroup only if the kernel refuses the container's",
    runc: "exec joins the cgroup of the container, and init's only if the kernel refuses that",
  },
);

spec("exec --cgroup: runs in that sub-cgroup", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  mkdirSync(`/sys/fs/cgroup/${container.id}/mine/deep`, { recursive: true });
  const pid = await background(sandbox, container, "--cgroup", "mine/deep");
  expect(cgroupOf(pid)).toBe(`/${container.id}/mine/deep`);
});

const deviations = byCase({
  crun: "exec --cgroup may leave the container's cgroup upwards, where the process hangs or runs",
  cases: [".."],
});

for (const path of ["..", "../..", "mine/../../other", "/../.."]) {
  spec(
    `exec --cgroup ${path}: error, never outside of the container's cgroup`,
    CLAUSE,
    async (sandbox) => {
      const container = await running(sandbox);
      expectRefusal(
        await container.exec(["sleep", "1000"], { flags: ["--cgroup", path] }),
        inOurWords(`--cgroup ${path}: must be a path below`),
        255,
      );
      await expectInitAlone(sandbox);
    },
    deviations(path),
  );
}

spec("exec --cgroup with a missing cgroup: error", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  expectRefusal(
    await container.exec(["true"], { flags: ["--cgroup", "no-such"] }),
    inOurWords("/linux/cgroupsPath: "),
    255,
  );
});

spec(
  "exec, user namespace: runs as the namespace's root, a mapped user on the host",
  CLAUSE,
  async (sandbox) => {
    const container = mappedShell(sandbox, "exec sleep 1000");
    await container.started();
    const { pid } = await container.state();
    const executed = await background(sandbox, container);
    expect(namespaces(executed)).toEqual(namespaces(pid));
    expect(readFileSync(`/proc/${executed}/status`, "utf8")).toContain(
      `Uid:\t${BASE}\t${BASE}\t${BASE}\t${BASE}\n`,
    );
    const script = "id -u; id -g; echo $HOME; tr -s ' ' < /proc/self/uid_map";
    expect((await container.exec(["sh", "-c", script])).stdout).toBe(`0\n0\n/root\n 0 ${BASE} 65536\n`);
  },
);

spec("exec --user, user namespace: an id of the namespace", CLAUSE, async (sandbox) => {
  const container = mappedShell(sandbox, "exec sleep 1000");
  await container.started();
  const flags = ["--user", "1000:1001"];
  expect((await container.exec(["sh", "-c", "id -u; id -g"], { flags })).stdout).toBe("1000\n1001\n");
});

spec(
  "exec --user with an unmapped uid, user namespace: error",
  CLAUSE,
  async (sandbox) => {
    const container = mappedShell(sandbox, "exec sleep 1000");
    await container.started();
    expectRefusal(
      await container.exec(["id"], { flags: ["--user", "70000"] }),
      inOurWords("/process/user/uid: "),
      255,
    );
  },
  { crun: { reason: "runs an unmapped uid as another one", before: "1.28" } },
);

spec("exec, no pid namespace: runs in the host's", CLAUSE, async (sandbox) => {
  const container = await running(sandbox, withoutPidNamespace);
  const { stdout, code } = await container.exec(["sh", "-c", "readlink /proc/self/ns/pid; exit 3"]);
  expect({ stdout, code }).toEqual({ stdout: `${readlinkSync("/proc/self/ns/pid")}\n`, code: 3 });
});

spec(
  "exec, no mount namespace: runs in the container's root directory",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("exec sleep 1000", (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "mount");
      config.mounts = [];
      config.root.readonly = false;
      delete config.linux.maskedPaths;
      delete config.linux.readonlyPaths;
    });
    container.writeFile("etc/mark", "of the rootfs\n");
    await container.started();
    const result = await container.exec(["sh", "-c", "cat /etc/mark; cd /..; ls -d bin"], {
      flags: ["--cwd", "/var"],
    });
    expect(result).toEqual({ code: 0, stdout: "of the rootfs\nbin\n", stderr: "" });
  },
  {
    crun: "without a mount namespace exec stays in the host's root directory",
    runc: "needs /proc in the container, which has none without mounts",
  },
);

spec("exec, container made with --no-pivot: runs in its root directory", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("exec sleep 1000");
  container.writeFile("etc/mark", "of the rootfs\n");
  await container.started({ flags: ["--no-pivot"] });
  const { stdout } = await container.exec(["sh", "-c", "cat /etc/mark; ls -d /home/alice"]);
  expect(stdout).toBe("of the rootfs\n/home/alice\n");
});

spec("exec, joined network namespace: runs in that namespace", CLAUSE, async (sandbox) => {
  const other = await running(sandbox);
  const path = `/proc/${(await other.state()).pid}/ns/net`;
  const container = await running(sandbox, (config) =>
    setNamespace(config, "network", { type: "network", path }),
  );
  expect((await container.exec(["readlink", "/proc/self/ns/net"])).stdout).toBe(`${readlinkSync(path)}\n`);
});

spec("exec: has the session keyring of the container", "keyrings(7)", async (sandbox) => {
  const container = sandbox.shell("grep keyring /proc/keys; exec sleep 1000", (config) => {
    config.linux.maskedPaths = [];
  });
  await container.started();
  const ofContainer = (text: string) =>
    text
      .split("\n")
      .filter((line) => line.includes(container.id))
      .map((line) => line.split(" ")[0]);
  await expect.poll(() => ofContainer(container.printed())).toHaveLength(1);
  const { stdout } = await container.exec(["grep", "keyring", "/proc/keys"]);
  expect(ofContainer(stdout)).toEqual(ofContainer(container.printed()));
});
