import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { expect } from "vitest";
import { type Config, setNamespace } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

const TAKES_ANY_CGROUP = "does not check what is in the cgroup, and hangs in a frozen one";
const WARNING_IF_NOT_EMPTY = { reason: "only warns of a cgroup that is not empty in 1.1", before: "1.3" };

const CLAUSE = "config-linux.md, Cgroups Path";

async function cgroupOf(container: Container): Promise<string> {
  const lines = readFileSync(`/proc/${(await container.state()).pid}/cgroup`, "utf8").split("\n");
  return lines.find((line) => line.startsWith("0::"))?.slice(3) ?? "";
}

spec(
  "cgroupsPath absolute: below the cgroup mount point",
  `${CLAUSE}: MUST take the path to be relative to the mount point`,
  async (sandbox) => {
    const container = sandbox.container();
    await container.created();
    expect(await cgroupOf(container)).toBe(`/${container.id}`);
  },
);

spec("cgroupsPath absolute with missing parents: they are made", CLAUSE, async (sandbox) => {
  const container = sandbox.container((config) => {
    config.linux.cgroupsPath = `/${sandbox.tag}-parent/middle/leaf`;
  });
  sandbox.atEnd(() => {
    for (const path of [`${sandbox.tag}-parent/middle`, `${sandbox.tag}-parent`]) {
      if (existsSync(`/sys/fs/cgroup/${path}`)) rmdirSync(`/sys/fs/cgroup/${path}`);
    }
  });
  await container.created();
  expect(await cgroupOf(container)).toBe(`/${sandbox.tag}-parent/middle/leaf`);
  await container.delete();
  expect(existsSync(`/sys/fs/cgroup/${sandbox.tag}-parent/middle/leaf`)).toBe(false);
});

spec(
  "cgroupsPath relative: the same value gives the same cgroup",
  `${CLAUSE}: MUST consistently attach`,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.cgroupsPath = `${sandbox.tag}-relative`;
    });
    await container.created();
    const first = await cgroupOf(container);
    expect(first).toContain(`${sandbox.tag}-relative`);
    await container.delete();
    await container.created();
    expect(await cgroupOf(container)).toBe(first);
  },
);

spec("cgroupsPath absent: the container has a cgroup of its own", CLAUSE, async (sandbox) => {
  const container = sandbox.container((config) => {
    delete config.linux.cgroupsPath;
  });
  await container.created();
  const path = await cgroupOf(container);
  expect(path).toContain(container.id);
  expect(readFileSync(`/sys/fs/cgroup${path}/cgroup.procs`, "utf8").trim()).toBe(
    String((await container.state()).pid),
  );
});

spec("create: init is in the cgroup, and nothing else", CLAUSE, async (sandbox) => {
  const container = sandbox.shell("sleep 1000 & wait");
  await container.created();
  const { pid } = await container.state();
  expect(readFileSync(`/sys/fs/cgroup/${container.id}/cgroup.procs`, "utf8")).toBe(`${pid}\n`);
});

function writable(config: Config): void {
  const mount = config.mounts.find(({ destination }) => destination === "/sys/fs/cgroup");
  if (mount?.options !== undefined) mount.options = mount.options.filter((option) => option !== "ro");
  config.root.readonly = false;
}

const SUB_CGROUPS =
  "mkdir -p /sys/fs/cgroup/a/b; sleep 1000 & echo $! > /sys/fs/cgroup/a/b/cgroup.procs; touch /tmp/ready; sleep 1000";

const deviations = byCase({
  runc: {
    reason:
      "processes that outlive init in a shared pid namespace stay (opencontainers/runc#4102, solved in 1.2)",
    before: "1.2",
  },
  cases: ["a shared pid namespace"],
});

for (const shared of [false, true]) {
  const situation = shared ? "a shared pid namespace" : "a pid namespace of its own";
  spec(
    `delete --force, processes in sub-cgroups, ${situation}: killed, and the sub-cgroups removed`,
    "promise: cgroup.kill, also sub-cgroups",
    async (sandbox) => {
      const container = sandbox.shell(SUB_CGROUPS, (config) => {
        writable(config);
        if (shared) setNamespace(config, "pid", undefined);
      });
      await container.started();
      await expect.poll(() => existsSync(`${container.rootfs}/tmp/ready`)).toBe(true);
      expect(existsSync(`/sys/fs/cgroup/${container.id}/a/b`)).toBe(true);
      expect((await container.delete("--force")).code).toBe(0);
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(situation),
  );
}

spec(
  "delete after exit, empty sub-cgroups left: removed",
  "promise: removal with sub-cgroups",
  async (sandbox) => {
    const container = sandbox.shell("mkdir -p /sys/fs/cgroup/a/b /sys/fs/cgroup/c", writable);
    await container.started();
    await container.until("stopped");
    expect((await container.delete()).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec("delete: parents of the cgroup stay", "runtime.md, Delete: only what create made", async (sandbox) => {
  const container = sandbox.container();
  await container.created();
  expect(dirname(await cgroupOf(container))).toBe("/");
  await container.delete();
  expect(existsSync("/sys/fs/cgroup/cgroup.procs")).toBe(true);
});

spec(
  "create that fails: the parent cgroups that it made are removed too",
  "runtime.md, Errors: as if never tried",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.cgroupsPath = `/${sandbox.tag}-parent/middle/leaf`;
      config.process.args = ["/no/such/program"];
      config.mounts.push({ destination: "/mnt", type: "bind", source: "/no/such/source", options: ["bind"] });
    });
    expectRefusal(await container.create(), inOurWords("/mounts/7/source: "));
    expect(await sandbox.traces()).toEqual([]);
  },
  { both: "leaves parent cgroups behind, even if create fails" },
);

spec(
  "create, something else mounted over the cgroup: error, and nothing is written to it",
  "promise: only files of the cgroup2 mount are written",
  async (sandbox) => {
    const top = `/sys/fs/cgroup/${sandbox.tag}-covered`;
    const canary = `${top}/leaf/cgroup.max.depth`;
    mkdirSync(top);
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", top]);
    sandbox.atEnd(() => {
      execFileSync("umount", [top]);
      rmdirSync(top);
    });
    mkdirSync(dirname(canary));
    for (const name of ["cgroup.max.depth", "cgroup.procs", "cgroup.kill"])
      writeFileSync(`${top}/leaf/${name}`, "");
    sandbox.settle();
    const container = sandbox.container((config) => {
      config.linux.cgroupsPath = `/${sandbox.tag}-covered/leaf`;
      config.linux.resources = { unified: { "cgroup.max.depth": "5" } };
    });
    expect((await container.create()).code).not.toBe(0);
    expect(readFileSync(canary, "utf8")).toBe("");
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "writes cgroup files by their paths" },
);

// runc and crun accept the root cgroup: runc applies its device rules to the whole host, and crun's delete kills all processes.
for (const path of IS_RUNTS ? ["/", "..", "/a/../.."] : []) {
  spec(
    `cgroupsPath ${path}: error that names it, nothing left`,
    `${CLAUSE}: MUST error if it is not valid`,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.linux.cgroupsPath = path;
      });
      expectRefusal(await container.create(), inOurWords("/linux/cgroupsPath"));
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}

spec(
  "cgroupsPath with .. in it: never outside of the cgroup mount",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.cgroupsPath = `/../../${sandbox.tag}-inside`;
    });
    await container.created();
    expect(await cgroupOf(container)).toBe(`/${sandbox.tag}-inside`);
  },
  { crun: "refuses a cgroupsPath with .. in it" },
);

/** Makes a cgroup as somebody else would. */
function madeCgroup(sandbox: Sandbox): string {
  const path = `${sandbox.tag}-theirs`;
  mkdirSync(`/sys/fs/cgroup/${path}`);
  sandbox.settle();
  sandbox.atEnd(async () => {
    if (!existsSync(`/sys/fs/cgroup/${path}`)) return;
    writeFileSync(`/sys/fs/cgroup/${path}/cgroup.kill`, "1"); // crun's init waits in a frozen one
    const events = () => readFileSync(`/sys/fs/cgroup/${path}/cgroup.events`, "utf8");
    await expect.poll(events).toContain("populated 0");
    rmdirSync(`/sys/fs/cgroup/${path}`);
  });
  return path;
}

const FIT = "config-linux.md, Control groups: MAY check that the cgroup is fit for purpose, then MUST error";

spec(
  "create in a cgroup with processes: error that names them, and they survive",
  FIT,
  async (sandbox) => {
    const first = sandbox.shell("exec sleep 1000");
    await first.started();
    const second = sandbox.container((config) => {
      config.linux.cgroupsPath = `/${first.id}`;
    });
    const result = await second.create();
    expectRefusal(result, "container's cgroup is not empty: 1 process(es) found");
    if (IS_RUNTS) expect(result.stderr).toContain(` found in /${first.id}: ${(await first.state()).pid}`);
    expect((await first.state()).status).toBe("running");
  },
  { crun: TAKES_ANY_CGROUP, runc: WARNING_IF_NOT_EMPTY },
);

spec(
  "create in a cgroup with a process named by escape sequences and a line break: single-line error that quotes them",
  FIT,
  async (sandbox) => {
    const first = sandbox.shell("printf '\\033[31mred\\nline' > /proc/$$/comm; echo named; sleep 1000; true");
    await first.started();
    await expect.poll(() => first.printed()).toBe("named");
    const second = sandbox.container((config) => {
      config.linux.cgroupsPath = `/${first.id}`;
    });
    expectRefusal(await second.create(), inOurWords("(\\x1b[31mred\\x0aline, state "));
  },
  { crun: TAKES_ANY_CGROUP, runc: WARNING_IF_NOT_EMPTY },
);

spec(
  "create in a cgroup with processes, the runtime is killed before it joins: they survive delete --force",
  FIT,
  async (sandbox, context) => {
    skipWithout(context, "strace");
    const first = sandbox.shell("exec sleep 1000");
    await first.started();
    const second = sandbox.container((config) => {
      config.linux.cgroupsPath = `/${first.id}`;
    });
    // The first two directories are that of all containers and the container's own.
    const inject = "inject=mkdirat:error=EIO:signal=KILL:when=3";
    const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject];
    expect((await second.create({ wrapper: strace })).code).not.toBe(0);
    expect((await second.delete("--force")).code).toBe(0);
    expect((await first.state()).status).toBe("running");
  },
);

for (const [where, below] of [
  ["in its cgroup", ""],
  ["in a sub-cgroup of its cgroup", "/below"],
] as const) {
  spec(
    `delete, stopped, another container is ${where} by now: the other one survives`,
    FIT,
    async (sandbox) => {
      const first = sandbox.shell("true");
      await first.started();
      await first.until("stopped");
      const second = sandbox.shell("exec sleep 1000", (config) => {
        config.linux.cgroupsPath = `/${first.id}${below}`;
      });
      await second.started();
      const { stderr } = await first.delete();
      if (IS_RUNTS) expect(stderr).toMatch(new RegExp(`cgroup \\S+ stays: container ${second.id} is in it`));
      expect((await second.state()).status).toBe("running");
      await second.delete("--force");
      if (below !== "") rmdirSync(`/sys/fs/cgroup/${first.id}`);
    },
    { crun: "kills all processes in the cgroup of a container that has ended" },
  );
}

spec(
  "create in a frozen cgroup: error, never a hang",
  FIT,
  async (sandbox) => {
    const path = madeCgroup(sandbox);
    writeFileSync(`/sys/fs/cgroup/${path}/cgroup.freeze`, "1");
    const container = sandbox.container((config) => {
      config.linux.cgroupsPath = `/${path}`;
    });
    expectRefusal(await container.create(), "container's cgroup unexpectedly frozen");
  },
  { crun: TAKES_ANY_CGROUP },
);

spec("create in an empty cgroup: taken over, and removed by delete", FIT, async (sandbox) => {
  const path = madeCgroup(sandbox);
  const container = sandbox.container((config) => {
    config.linux.cgroupsPath = `/${path}`;
  });
  await container.created();
  expect(await cgroupOf(container)).toBe(`/${path}`);
  await container.delete();
  expect(existsSync(`/sys/fs/cgroup/${path}`)).toBe(false);
});
