import { afterAll, beforeAll, type TestContext } from "vitest";
import type { Container } from "./container.ts";
import type { Sandbox } from "./sandbox.ts";
import { spec } from "./spec.ts";
import { Machine, noSystemd } from "./systemd.ts";

export type SystemdBody = (sandbox: Sandbox, machine: Machine, context: TestContext) => Promise<void>;

/** How a container is asked for whose cgroup systemd makes. */
export const SYSTEMD = { globals: ["--systemd-cgroup"] };

/** `spec` for commands that run on a host with systemd, which is booted once for the tests of a file. */
export function systemdSpecs(): (title: string, clause: string, body: SystemdBody) => void {
  const missing = noSystemd();
  let machine: Machine | undefined;
  beforeAll(async () => {
    if (missing === undefined) machine = await Machine.boot();
  });
  afterAll(async () => {
    await machine?.stop();
  });
  return (title, clause, body) => {
    spec(title, clause, async (sandbox, context) => {
      if (machine === undefined) return context.skip(missing);
      sandbox.wrapper = machine.wrapper;
      await body(sandbox, machine, context);
    });
  };
}

/** The container's scope: `create` has made it by a cgroupsPath that ends in the container's id. */
export function scopeOf(container: Container, machine: Machine): string {
  const [unit = "none"] = machine.units(`*${container.id}.scope`);
  return unit;
}

/** As seen in the machine: `/system.slice/x.scope`. */
export async function cgroupOf(container: Container, machine: Machine): Promise<string> {
  const { pid } = await container.state();
  return /^0::(.*)$/m.exec(machine.output("cat", `/proc/${pid}/cgroup`))?.[1] ?? "";
}
