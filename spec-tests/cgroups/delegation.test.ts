import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { writableCgroup } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { hostControllers, NO_HUGETLB } from "../harness/host/host-controllers.ts";
import { BASE, mappedShell } from "../harness/host/user-namespace.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config-linux.md, Cgroup ownership";
const NO_INTERNAL = 'cgroups(7), "no internal processes"';
const DELEGATED = ["", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"];
const CONTROLLERS = hostControllers();

function directoryOf({ id }: Container): string {
  return `/sys/fs/cgroup/${id}`;
}

function owners(container: Container, files: readonly string[]): number[] {
  return files.map((file) => statSync(`${directoryOf(container)}${file}`).uid);
}

spec(
  "create, user namespace, /sys/fs/cgroup writable: the container owns the files of delegation",
  CLAUSE,
  async (sandbox) => {
    const script =
      "mkdir /sys/fs/cgroup/inner && echo 1 > /sys/fs/cgroup/inner/cgroup.procs && echo moved; sleep 999";
    const container = mappedShell(sandbox, script, writableCgroup);
    await container.started();
    expect(owners(container, DELEGATED)).toEqual(DELEGATED.map(() => BASE));
    expect(owners(container, ["/cgroup.freeze", "/cgroup.max.depth", "/cgroup.kill"])).toEqual([0, 0, 0]);
    await expect.poll(() => container.printed()).toBe("moved");
  },
  { runc: "the cgroupfs driver never changes the owner of a cgroup" },
);

spec(
  "hooks in the container, which owns its cgroup: run in that cgroup",
  `${CLAUSE}; config.md, POSIX-platform Hooks`,
  async (sandbox) => {
    const out = sandbox.path("out");
    writeFileSync(out, "", { mode: 0o666 });
    chmodSync(out, 0o666);
    const container = mappedShell(sandbox, "cat /tmp/hook; exec sleep 999", (config) => {
      writableCgroup(config);
      config.root.readonly = false;
      const look = (file: string) => ({
        path: "/bin/sh",
        args: ["sh", "-c", `grep ^0:: /proc/self/cgroup > ${file}`],
        env: ["PATH=/usr/bin:/bin"],
      });
      config.hooks = { createContainer: [look(out)], startContainer: [look("/tmp/hook")] };
    });
    await container.started();
    // The root of the cgroup namespace.
    await expect.poll(() => container.printed()).toBe("0::/");
    expect(readFileSync(out, "utf8")).toBe("0::/\n");
  },
);

spec(
  "create, user namespace, process.user 7: that user owns the cgroup",
  `${CLAUSE}: the host uid that process.user.uid maps to`,
  async (sandbox) => {
    const container = mappedShell(sandbox, "true", (config) => {
      writableCgroup(config);
      config.process.user = { uid: 7, gid: 7 };
    });
    await container.created();
    expect(owners(container, DELEGATED)).toEqual(DELEGATED.map(() => BASE + 7));
  },
  {
    crun: "the user of the container's root owns the cgroup, whatever process.user is",
    runc: "the cgroupfs driver never changes the owner of a cgroup",
  },
);

for (const [what, mutate] of [
  ["/sys/fs/cgroup read-only", () => undefined],
  [
    "no cgroup namespace",
    (config: Config) => {
      writableCgroup(config);
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
    },
  ],
] as const) {
  spec(
    `create, user namespace, ${what}: the cgroup stays the host's`,
    CLAUSE,
    async (sandbox) => {
      const container = mappedShell(sandbox, "true", mutate);
      await container.created();
      expect(owners(container, DELEGATED)).toEqual(DELEGATED.map(() => 0));
    },
    { crun: "gives a container with a user namespace its cgroup, writable or not" },
  );
}

spec(
  "exec, user namespace, the container owns its cgroup: runs in init's cgroup",
  `${CLAUSE}; engines: docker's userns-remap`,
  async (sandbox) => {
    const container = mappedShell(
      sandbox,
      "read line < /go; mkdir /sys/fs/cgroup/inner && echo 1 > /sys/fs/cgroup/inner/cgroup.procs && echo moved; sleep 999",
      writableCgroup,
    );
    execFileSync("mkfifo", ["-m", "666", `${container.rootfs}/go`]);
    await container.started();
    const exec = async (script: string) => succeed("exec", await container.exec(["sh", "-c", script])).stdout;
    expect(await exec("grep ^0:: /proc/self/cgroup")).toBe("0::/\n");
    await exec("echo > /go");
    await expect.poll(() => container.printed()).toBe("moved");
    expect(await exec("grep ^0:: /proc/self/cgroup")).toBe("0::/inner\n");
    // The process has neither descriptors nor rights of the runtime.
    expect(await exec("grep -c . /proc/self/uid_map; ls /proc/self/fd | wc -l")).toBe("1\n4\n");
  },
  {
    crun: "exec joins the container's own cgroup as long as that accepts processes, wherever init is",
    runc: "the cgroupfs driver never changes the owner of a cgroup",
  },
);

/** Init moves itself into a sub-cgroup and enables a controller, as systemd in a container does. */
const MOVE =
  "mkdir /sys/fs/cgroup/init && echo 1 > /sys/fs/cgroup/init/cgroup.procs && echo +hugetlb > /sys/fs/cgroup/cgroup.subtree_control && echo moved; sleep 999";

async function moved(sandbox: Sandbox): Promise<Container> {
  const container = sandbox.shell(MOVE, writableCgroup);
  await container.started();
  await expect.poll(() => container.printed()).toBe("moved");
  return container;
}

spec(
  "exec, init has moved to a sub-cgroup and enabled a controller above it: runs in init's cgroup",
  NO_INTERNAL,
  async (sandbox, context) => {
    if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
    const container = await moved(sandbox);
    const script = `grep -q "^0::/init$" /proc/self/cgroup || cat /proc/self/cgroup`;
    expect(succeed("exec", await container.exec(["sh", "-c", script])).stdout).toBe("");
  },
);

spec(
  "exec --cgroup / where only sub-cgroups accept processes: error that says so",
  NO_INTERNAL,
  async (sandbox, context) => {
    if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
    const container = await moved(sandbox);
    const result = await container.exec(["true"], { flags: ["--cgroup", "/"] });
    expectRefusal(result, inOurWords("/linux/cgroupsPath: "), 255);
    if (IS_RUNTS)
      expect(result.stderr).toMatch(
        new RegExp(`cgroup /${container.id} takes no processes itself.* hugetlb .* \\d+ \\(`),
      );
  },
  { crun: "silently falls back to the cgroup of init" },
);

spec(
  "create in a cgroup that enables controllers for sub-cgroups: error that says so, nothing left",
  NO_INTERNAL,
  async (sandbox, context) => {
    if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
    const container = sandbox.container();
    const directory = directoryOf(container);
    mkdirSync(`${directory}/other`, { recursive: true });
    sandbox.atEnd(() => {
      for (const path of [`${directory}/other`, directory]) if (existsSync(path)) rmdirSync(path);
    });
    writeFileSync("/sys/fs/cgroup/cgroup.subtree_control", "+hugetlb");
    writeFileSync(`${directory}/cgroup.subtree_control`, "+hugetlb");
    const result = await container.create();
    expectRefusal(result, inOurWords("/linux/cgroupsPath: "));
    if (IS_RUNTS)
      expect(result.stderr).toMatch(/\/linux\/cgroupsPath: cgroup .* takes no processes itself, .* hugetlb/);
  },
);

spec(
  "create below a threaded cgroup: init runs in it, and a limit of a domain controller is an error",
  "cgroups(7), Thread mode",
  async (sandbox) => {
    const parent = `/sys/fs/cgroup/${sandbox.tag}-threads`;
    mkdirSync(`${parent}/first`, { recursive: true });
    writeFileSync(`${parent}/first/cgroup.type`, "threaded");
    sandbox.atEnd(() => {
      for (const path of [`${parent}/first`, parent]) rmdirSync(path);
    });
    const below = (config: Config) => {
      config.linux.cgroupsPath = `/${sandbox.tag}-threads${config.linux.cgroupsPath}`;
    };
    const container = sandbox.container(below);
    await container.created();
    expect(readFileSync(`${parent}/${container.id}/cgroup.type`, "utf8")).toBe("threaded\n");
    const limited = sandbox.container((config) => {
      below(config);
      config.linux.resources = { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] };
    });
    expectRefusal(await limited.create(), inOurWords("/linux/resources/hugepageLimits/0/limit: "));
    await container.delete("--force");
  },
  { crun: "leaves the cgroup behind when a limit is refused" },
);
