import { chownSync, mkdirSync } from "node:fs";
import { expect } from "vitest";
import { setNamespace } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { USER } from "../harness/systemd.ts";
import { cgroupOf, SYSTEMD, systemdSpecs } from "../harness/systemd-spec.ts";

const systemdSpec = systemdSpecs();
const CLAUSE = "features.md D39, D40";

/** A container that a user without privilege may make, with the user as its root. */
function rootless(sandbox: Sandbox, script = "sleep 1000"): Container {
  mkdirSync(sandbox.root);
  for (const directory of [sandbox.root, sandbox.temporary, sandbox.directory])
    chownSync(directory, USER, USER);
  const container = sandbox.shell(script, (config) => {
    setNamespace(config, "user", { type: "user" });
    config.linux.uidMappings = [{ containerID: 0, hostID: USER, size: 1 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: USER, size: 1 }];
    delete config.linux.resources;
    for (const mount of config.mounts)
      if (mount.options !== undefined) mount.options = mount.options.filter((option) => option !== "gid=5");
  });
  container.config.linux.cgroupsPath = `user.slice:spec:${container.id}`;
  container.writeConfig();
  chownSync(container.bundle, USER, USER);
  return container;
}

systemdSpec("systemd, user: a scope of the user's systemd", CLAUSE, async (sandbox, machine) => {
  sandbox.wrapper = machine.userWrapper;
  const container = rootless(sandbox);
  await container.started(SYSTEMD);
  const unit = `spec-${container.id}.scope`;
  const manager = "/system.slice/user.service";
  expect(await cgroupOf(container, machine)).toContain(`${manager}/user.slice/${unit}`);
  expect(machine.units(`*${container.id}*`), "of the system's").toEqual([]);
  expect((await container.delete("--force")).code).toBe(0);
  expect(await sandbox.traces()).toEqual([]);
});

systemdSpec("systemd, user, exec: in the scope", CLAUSE, async (sandbox, machine) => {
  sandbox.wrapper = machine.userWrapper;
  const container = rootless(sandbox);
  await container.started(SYSTEMD);
  const { code, stdout, stderr } = await container.exec(["cat", "/proc/self/cgroup"]);
  expect([code, stderr]).toEqual([0, ""]);
  const init = (await container.exec(["cat", "/proc/1/cgroup"])).stdout;
  expect(/^0::.*/m.exec(stdout)?.[0]).toBe(/^0::.*/m.exec(init)?.[0]);
});

systemdSpec("systemd, user without a bus: error that says so", CLAUSE, async (sandbox, machine) => {
  sandbox.wrapper = [...machine.userWrapper, "env", "-u", "XDG_RUNTIME_DIR"];
  const container = rootless(sandbox);
  expectRefusal(await container.create(SYSTEMD), /bus|XDG_RUNTIME_DIR/);
});
