import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { RUNTIME } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { cgroupOf, SYSTEMD, scopeOf, systemdSpecs } from "../harness/systemd/spec.ts";

const systemdSpec = systemdSpecs();
const PATH = "config-linux.md, Cgroups Path";

function scoped(sandbox: Sandbox, script = "sleep 1000", path?: (id: string) => string): Container {
  const container = sandbox.shell(script);
  container.config.linux.cgroupsPath = path?.(container.id) ?? `system.slice:spec:${container.id}`;
  container.writeConfig();
  return container;
}

systemdSpec("systemd, slice:prefix:name: a scope in the slice", PATH, async (sandbox, machine) => {
  const container = scoped(sandbox, "sleep 1000", (id) => `spec-part.slice:pre:${id}`);
  await container.created(SYSTEMD);
  const unit = `pre-${container.id}.scope`;
  expect(await cgroupOf(container, machine)).toMatch(`/spec.slice/spec-part.slice/${unit}`);
  expect(machine.show(unit, "Slice", "Delegate", "ActiveState", "DefaultDependencies", "Transient")).toEqual({
    Slice: "spec-part.slice",
    Delegate: "yes",
    ActiveState: "active",
    DefaultDependencies: "no",
    Transient: "yes",
  });
});

systemdSpec(
  "systemd, no slice: system.slice",
  PATH,
  async (sandbox, machine) => {
    const container = scoped(sandbox, "sleep 1000", (id) => `:spec:${id}`);
    await container.created(SYSTEMD);
    expect(await cgroupOf(container, machine)).toMatch(`/system.slice/spec-${container.id}.scope`);
  },
  { crun: { reason: "an empty part is passed on to systemd, which refuses it", before: "1.28" } },
);

systemdSpec("systemd, slice -.slice: the root slice", PATH, async (sandbox, machine) => {
  const container = scoped(sandbox, "sleep 1000", (id) => `-.slice:spec:${id}`);
  await container.created(SYSTEMD);
  expect(await cgroupOf(container, machine)).toMatch(`/spec-${container.id}.scope`);
  expect(machine.show(`spec-${container.id}.scope`, "Slice")).toEqual({ Slice: "-.slice" });
});

systemdSpec(
  "systemd, no prefix: the name alone",
  PATH,
  async (sandbox, machine) => {
    const container = scoped(sandbox, "sleep 1000", (id) => `::${id}`);
    await container.created(SYSTEMD);
    expect(await cgroupOf(container, machine)).toMatch(`/system.slice/${container.id}.scope`);
  },
  {
    crun: "an empty part is passed on to systemd, which refuses it",
    runc: "without a prefix the unit's name begins with the dash",
  },
);

systemdSpec("systemd, cgroupsPath absent: a scope named after the id", PATH, async (sandbox, machine) => {
  const container = sandbox.shell("sleep 1000", (config) => {
    delete config.linux.cgroupsPath;
  });
  await container.created(SYSTEMD);
  expect(await cgroupOf(container, machine)).toContain(`-${container.id}.scope`);
  expect(machine.show(scopeOf(container, machine), "Slice")).toEqual({ Slice: "system.slice" });
});

systemdSpec(
  "systemd, --cgroup-manager systemd: a scope, as with --systemd-cgroup",
  "practice: crun's option",
  async (sandbox, machine) => {
    const container = scoped(sandbox);
    await container.created({ globals: ["--cgroup-manager", "systemd"] });
    expect(machine.units(`spec-${container.id}.scope`)).toHaveLength(1);
  },
  { runc: "the option is crun's" },
);

systemdSpec("systemd, create: init is in the scope, and nothing else", PATH, async (sandbox, machine) => {
  const container = scoped(sandbox);
  await container.created(SYSTEMD);
  const cgroup = `/sys/fs/cgroup${await cgroupOf(container, machine)}`;
  expect(machine.output("cat", `${cgroup}/cgroup.procs`)).toBe(String((await container.state()).pid));
});

const deviations = byCase({
  crun: "a path without exactly three parts is read as far as it goes",
  cases: ["system.slice:spec", "system.slice:spec:name:more"],
});

for (const path of ["/spec", "system.slice:spec", "system.slice:spec:name:more", "spec.scope:pre:name"]) {
  systemdSpec(
    `systemd, cgroupsPath ${path}: error, nothing left`,
    `${PATH}: MUST generate an error`,
    async (sandbox) => {
      const container = scoped(sandbox, "true", () => path);
      expectRefusal(await container.create(SYSTEMD), /cgroupsPath|slice|Unit/i);
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(path),
  );
}

systemdSpec(
  "systemd, the unit is another container's: error, and the other container lives on",
  "promise: containers are independent",
  async (sandbox, machine) => {
    const first = scoped(sandbox, "sleep 1000", () => `system.slice:spec:${sandbox.tag}-same`);
    const second = scoped(sandbox, "sleep 1000", () => `system.slice:spec:${sandbox.tag}-same`);
    await first.started(SYSTEMD);
    expectRefusal(await second.create(SYSTEMD), /-same.scope|not empty/);
    expect((await first.state()).status).toBe("running");
    expect(machine.show(`spec-${sandbox.tag}-same.scope`, "ActiveState")).toEqual({ ActiveState: "active" });
  },
);

systemdSpec(
  "systemd, delete after exit: no unit, no cgroup",
  "runtime.md, Delete",
  async (sandbox, machine) => {
    const container = scoped(sandbox, "true");
    await container.started(SYSTEMD);
    await container.until("stopped");
    expect((await container.delete()).code).toBe(0);
    expect(machine.units(`*${sandbox.tag}*`)).toEqual([]);
    expect(await sandbox.traces()).toEqual([]);
  },
);

systemdSpec(
  "systemd, delete --force with children that ignore SIGTERM: killed at once",
  "runtime.md, Delete",
  async (sandbox, machine) => {
    const container = scoped(sandbox, "trap '' TERM; sleep 1000 & wait");
    await container.started(SYSTEMD);
    expect((await container.delete("--force")).code).toBe(0);
    expect(machine.units(`*${sandbox.tag}*`)).toEqual([]);
    expect(await sandbox.traces()).toEqual([]);
  },
);

systemdSpec("systemd, run: nothing is left of the unit", "runtime.md, Delete", async (sandbox, machine) => {
  const container = scoped(sandbox, "cat /proc/self/cgroup; exit 7");
  const { code, stdout } = await container.run(SYSTEMD);
  expect(code).toBe(7);
  expect(stdout).toMatch(/^0::/m);
  expect(machine.units(`*${sandbox.tag}*`)).toEqual([]);
});

systemdSpec(
  "systemd, create that fails late: nothing is left of the unit",
  "runtime.md, Errors",
  async (sandbox, machine) => {
    const container = scoped(sandbox);
    container.config.hooks = { createRuntime: [{ path: "/bin/false" }] };
    container.writeConfig();
    expectRefusal(await container.create(SYSTEMD), inOurWords("/hooks/createRuntime/0: "));
    expect(machine.units(`*${sandbox.tag}*`)).toEqual([]);
    expect(await sandbox.traces()).toEqual([]);
  },
);

systemdSpec(
  "systemd, create killed at any instant: delete --force removes all that is left",
  "promise: nothing leaks, whenever the runtime dies",
  async (sandbox, machine) => {
    for (let milliseconds = 10; milliseconds <= 120; milliseconds += 10) {
      const container = scoped(sandbox);
      const create = [...SYSTEMD.globals, "create", "--bundle", container.bundle, container.id];
      const command = [RUNTIME, "--root", sandbox.root, ...create];
      const [file = "", ...args] = [
        ...machine.wrapper,
        ...["timeout", "-s", "KILL", String(milliseconds / 1000), ...command],
      ];
      await once(spawn(file, args, { stdio: "ignore" }), "exit");
      const { code, stderr } = await container.delete("--force");
      expect([milliseconds, code, stderr]).toEqual([milliseconds, 0, ""]);
    }
    await expect.poll(() => machine.units(`*${sandbox.tag}*`)).toEqual([]);
    await expect.poll(() => sandbox.traces()).toEqual([]);
  },
  {
    both: {
      reason: "a killed create leaves its unit, which delete --force does not find",
      sometimes: true,
    },
  },
);

systemdSpec(
  "systemd, exec: the process is in the scope",
  "promise: exec goes to init's cgroup",
  async (sandbox, machine) => {
    const container = scoped(sandbox);
    await container.started(SYSTEMD);
    const pidFile = sandbox.path("exec.pid");
    const { code } = await container.exec(["sleep", "100"], { flags: ["--detach", "--pid-file", pidFile] });
    expect(code).toBe(0);
    const pid = machine.output("cat", pidFile);
    expect(machine.output("grep", "^0::", `/proc/${pid}/cgroup`)).toMatch(
      new RegExp(`/spec-${container.id}\\.scope(/|$)`),
    );
  },
);

systemdSpec(
  "systemd, pause, resume and kill: as with other cgroups",
  "practice: engines pause containers",
  async (sandbox, machine) => {
    const container = scoped(sandbox);
    await container.started(SYSTEMD);
    const cgroup = `/sys/fs/cgroup${await cgroupOf(container, machine)}`;
    expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
    expect((await container.state()).status).toBe("paused");
    expect(machine.output("grep", "frozen", `${cgroup}/cgroup.events`)).toBe("frozen 1");
    expect((await sandbox.invoke(["resume", container.id])).code).toBe(0);
    expect((await container.state()).status).toBe("running");
    expect((await container.kill("KILL")).code).toBe(0);
    await container.until("stopped");
  },
);
