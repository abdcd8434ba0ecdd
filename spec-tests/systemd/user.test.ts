import { expect } from "vitest";
import { expectRefusal } from "../harness/refusal.ts";
import { cgroupOf, rootless, SYSTEMD, systemdSpecs } from "../harness/systemd/spec.ts";

const systemdSpec = systemdSpecs();
const CLAUSE = "practice of runc and crun: rootless containers use the user's systemd";

systemdSpec("systemd, user: a scope of the user's systemd", CLAUSE, async (sandbox, machine) => {
  sandbox.wrapper = machine.userWrapper;
  const container = rootless(sandbox);
  await container.started(SYSTEMD);
  const unit = `spec-${container.id}.scope`;
  const manager = "/system.slice/user.service";
  expect(await cgroupOf(container, machine)).toContain(`${manager}/user.slice/${unit}`);
  expect(machine.units(`*${container.id}*`), "units of the system's systemd").toEqual([]);
  expect((await container.delete("--force")).code).toBe(0);
  expect(await sandbox.traces()).toEqual([]);
});

systemdSpec(
  "systemd, user, exec: the process is in the scope",
  CLAUSE,
  async (sandbox, machine) => {
    sandbox.wrapper = machine.userWrapper;
    const container = rootless(sandbox);
    await container.started(SYSTEMD);
    const { code, stdout, stderr } = await container.exec(["cat", "/proc/self/cgroup"]);
    expect([code, stderr]).toEqual([0, ""]);
    const init = (await container.exec(["cat", "/proc/1/cgroup"])).stdout;
    expect(/^0::.*/m.exec(stdout)?.[0]).toBe(/^0::.*/m.exec(init)?.[0]);
  },
  {
    crun: "enters the scope without systemd's help, which the kernel denies",
    runc: "the process stays in the cgroup of the caller",
  },
);

systemdSpec("systemd, user without a bus: error that says so", CLAUSE, async (sandbox, machine) => {
  sandbox.wrapper = [...machine.userWrapper, "env", "-u", "XDG_RUNTIME_DIR"];
  const container = rootless(sandbox);
  expectRefusal(await container.create(SYSTEMD), /bus|XDG_RUNTIME_DIR/);
});
