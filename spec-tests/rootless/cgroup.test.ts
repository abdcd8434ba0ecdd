import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "vitest";
import { becomeUser, delegatedCgroup, rangeShell, rootlessShell, USER } from "../harness/host/user.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "cgroups(7), Cgroup delegation";

function cgroupOf(pid: number): string {
  return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
}

spec(
  "rootless run, the caller is in a cgroup below a delegated one: the container gets a cgroup beside the caller's",
  CLAUSE,
  async (sandbox) => {
    const delegated = delegatedCgroup(sandbox, "user");
    becomeUser(sandbox, { cgroup: delegatedCgroup(sandbox, "caller", delegated) });
    const container = rootlessShell(sandbox, "exec sleep 1000");
    await container.started();
    const { pid } = await container.state();
    expect(cgroupOf(pid)).toBe(`/${basename(delegated)}/${container.id}`);
    expect(statSync(join(delegated, container.id)).uid).toBe(USER);
  },
);

spec("rootless pause, resume, exec, kill and delete, delegated cgroup: work", CLAUSE, async (sandbox) => {
  const delegated = delegatedCgroup(sandbox, "user");
  becomeUser(sandbox, { cgroup: delegatedCgroup(sandbox, "caller", delegated) });
  const container = rangeShell(sandbox, "sleep 1000 & exec sleep 1000", (config) => {
    config.linux.cgroupsPath = `/${basename(delegated)}/${sandbox.tag}-own`;
  });
  await container.started();
  expect(await sandbox.invoke(["pause", container.id])).toMatchObject({ code: 0 });
  expect((await container.state()).status).toBe("paused");
  expect(await sandbox.invoke(["resume", container.id])).toMatchObject({ code: 0 });
  const { stdout, code } = await container.exec(["cat", "/proc/self/cgroup"]);
  expect({ code, own: /^0::\/$/m.test(stdout) }).toEqual({ code: 0, own: true });
  expect(await container.delete("--force")).toMatchObject({ code: 0, stderr: "" });
  expect(existsSync(join(delegated, `${sandbox.tag}-own`))).toBe(false);
});

spec(
  "rootless run, the caller's cgroup is delegated, its parent is not: the container gets a cgroup below the caller's",
  CLAUSE,
  async (sandbox) => {
    const delegated = delegatedCgroup(sandbox, "user");
    becomeUser(sandbox, { cgroup: delegated });
    const container = rootlessShell(sandbox, "exec sleep 1000");
    await container.started();
    expect(cgroupOf((await container.state()).pid)).toBe(`/${basename(delegated)}/${container.id}`);
  },
  { both: "the process stays in the caller's cgroup if none can be made beside it" },
);

spec(
  "rootless exec from outside of the delegated cgroup: error that names the cgroup that is not delegated",
  CLAUSE,
  async (sandbox) => {
    const delegated = delegatedCgroup(sandbox, "user");
    becomeUser(sandbox, { cgroup: delegated });
    const container = rootlessShell(sandbox, "exec sleep 1000", (config) => {
      config.linux.cgroupsPath = `/${basename(delegated)}/${sandbox.tag}-own`;
    });
    await container.started();
    const inside = sandbox.wrapper;
    becomeUser(sandbox);
    const result = await container.exec(["true"]);
    sandbox.wrapper = inside;
    expectRefusal(result, /permission denied/i, 255);
    if (IS_RUNTS) expect(result.stderr).toContain("/sys/fs/cgroup belongs to user 0 and is not delegated");
  },
  { runc: "exec runs the process outside of the container's cgroup" },
);

spec(
  "rootless create from outside of the delegated cgroup: error, nothing left",
  CLAUSE,
  async (sandbox) => {
    const delegated = delegatedCgroup(sandbox, "user");
    becomeUser(sandbox);
    const container = rootlessShell(sandbox, "true", (config) => {
      config.linux.cgroupsPath = `/${basename(delegated)}/${sandbox.tag}-own`;
    });
    const result = await container.create();
    expectRefusal(result, /permission denied/i);
    if (IS_RUNTS) expect(result.stderr).toContain("/sys/fs/cgroup belongs to user 0 and is not delegated");
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "state is left when create fails" },
);

spec("rootless create, limits of a delegated controller: set", CLAUSE, async (sandbox, context) => {
  const controllers = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");
  if (!controllers.includes("hugetlb"))
    return context.skip("the machine has no hugetlb controller on cgroup v2");
  writeFileSync("/sys/fs/cgroup/cgroup.subtree_control", "+hugetlb");
  const delegated = delegatedCgroup(sandbox, "user");
  becomeUser(sandbox, { cgroup: delegatedCgroup(sandbox, "caller", delegated) });
  const container = rootlessShell(sandbox, "exec sleep 1000", (config) => {
    config.linux.resources = { hugepageLimits: [{ pageSize: "2MB", limit: 4 << 20 }] };
  });
  await container.started();
  expect(readFileSync(join(delegated, container.id, "hugetlb.2MB.max"), "utf8")).toBe(`${4 << 20}\n`);
});
