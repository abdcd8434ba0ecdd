import { chownSync, mkdirSync } from "node:fs";
import { afterAll, beforeAll, type TestContext } from "vitest";
import { setNamespace } from "../config.ts";
import type { Container } from "../container.ts";
import type { Deviations } from "../peers.ts";
import type { Sandbox } from "../sandbox.ts";
import { spec } from "../spec.ts";
import { Machine, noSystemd, USER } from "./systemd.ts";

export type SystemdBody = (sandbox: Sandbox, machine: Machine, context: TestContext) => Promise<void>;

/** Options of `create` for a container whose cgroup systemd makes. */
export const SYSTEMD = { globals: ["--systemd-cgroup"] };

/** `spec` for commands that run on a host with systemd, which is booted once for the tests of a file. */
export function systemdSpecs(): (
  title: string,
  clause: string,
  body: SystemdBody,
  deviations?: Deviations,
) => void {
  const missing = noSystemd();
  let machine: Machine | undefined;
  beforeAll(async () => {
    if (missing === undefined) machine = await Machine.boot();
  });
  afterAll(async () => {
    await machine?.stop();
  });
  return (title, clause, body, deviations) => {
    spec(
      title,
      clause,
      async (sandbox, context) => {
        if (machine === undefined) return context.skip(missing);
        sandbox.wrapper = machine.wrapper;
        await body(sandbox, machine, context);
      },
      deviations,
    );
  };
}

/** The container's scope: `create` has made it by a cgroupsPath that ends in the container's id. */
export function scopeOf(container: Container, machine: Machine): string {
  const [unit = "none"] = machine.units(`*${container.id}.scope`);
  return unit;
}

/** The cgroup of init as the machine shows it, such as `/system.slice/x.scope`. */
export async function cgroupOf(container: Container, machine: Machine): Promise<string> {
  const { pid } = await container.state();
  return /^0::(.*)$/m.exec(machine.output("cat", `/proc/${pid}/cgroup`))?.[1] ?? "";
}

/** A container that a user without privilege may make, with the user as its root. */
export function rootless(sandbox: Sandbox, script = "sleep 1000"): Container {
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
