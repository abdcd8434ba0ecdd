import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { cgroupOf, rootless, SYSTEMD, scopeOf, systemdSpecs } from "../harness/systemd/spec.ts";

const systemdSpec = systemdSpecs();
const CLAUSE = "crun(1), Extensions to OCI";
const IGNORED = "ignores annotations of crun";
const SUBGROUP = "run.oci.systemd.subgroup";
const DELEGATE = "run.oci.delegate-cgroup";

function scoped(
  sandbox: Sandbox,
  annotations: Record<string, string>,
  mutate?: (config: Config) => void,
): Container {
  const container = sandbox.shell("sleep 1000", mutate);
  container.config.annotations = annotations;
  container.config.linux.cgroupsPath = `system.slice:spec:${container.id}`;
  container.writeConfig();
  return container;
}

systemdSpec(
  `systemd, ${SUBGROUP}: the processes are below the scope, and the container sees that cgroup as its root`,
  CLAUSE,
  async (sandbox, machine) => {
    const container = scoped(sandbox, { [SUBGROUP]: "inner" });
    await container.started(SYSTEMD);
    const scope = `/system.slice/spec-${container.id}.scope`;
    expect(await cgroupOf(container, machine)).toMatch(`${scope}/inner`);
    const { stdout } = await container.exec(["cat", "/proc/self/cgroup"]);
    expect(stdout).toContain("0::/\n");
    expect((await container.delete("--force")).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
    expect(machine.units(`*${container.id}*`)).toEqual([]);
  },
  { runc: IGNORED },
);

systemdSpec(
  `systemd, ${SUBGROUP} and ${DELEGATE}: one below the other`,
  CLAUSE,
  async (sandbox, machine) => {
    const container = scoped(sandbox, { [SUBGROUP]: "inner", [DELEGATE]: "payload" });
    await container.started(SYSTEMD);
    expect(await cgroupOf(container, machine)).toMatch(`/spec-${container.id}.scope/inner/payload`);
    expect((await container.exec(["cat", "/proc/1/cgroup"])).stdout).toContain("0::/payload\n");
    expect((await container.kill("KILL")).code).toBe(0);
    await container.until("stopped");
    expect((await container.delete()).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  { runc: IGNORED },
);

systemdSpec(
  `systemd, ${SUBGROUP} with limits and pause: they hold for the whole scope`,
  "promise: no limit is lost in a sub-cgroup",
  async (sandbox, machine) => {
    const container = scoped(sandbox, { [SUBGROUP]: "inner" });
    await container.started(SYSTEMD);
    expect(await cgroupOf(container, machine)).toMatch(/\/inner$/);
    const file = `/sys/fs/cgroup/system.slice/${scopeOf(container, machine)}/cgroup.freeze`;
    expect((await sandbox.invoke(["pause", container.id])).code).toBe(0);
    expect(
      machine.output("sh", "-c", `cat $(ls -d ${file} /sys/fs/cgroup/*/${file.slice(15)} 2>/dev/null)`),
    ).toBe("1");
    expect((await container.state()).status).toBe("paused");
    expect((await sandbox.invoke(["resume", container.id])).code).toBe(0);
    expect((await container.exec(["true"])).code).toBe(0);
  },
  { crun: "freezes the sub-cgroup alone", runc: IGNORED },
);

systemdSpec(
  `systemd, ${SUBGROUP} empty: the processes are in the scope itself`,
  CLAUSE,
  async (sandbox, machine) => {
    const container = scoped(sandbox, { [SUBGROUP]: "" });
    await container.started(SYSTEMD);
    expect(await cgroupOf(container, machine)).toMatch(new RegExp(`/spec-${container.id}\\.scope$`));
  },
);

systemdSpec(
  `systemd, user, ${SUBGROUP} and ${DELEGATE}: exec joins the processes there`,
  CLAUSE,
  async (sandbox, machine) => {
    sandbox.wrapper = machine.userWrapper;
    const container = rootless(sandbox);
    container.config.annotations = { [SUBGROUP]: "inner", [DELEGATE]: "payload" };
    container.writeConfig();
    await container.started(SYSTEMD);
    expect(await cgroupOf(container, machine)).toMatch(`/spec-${container.id}.scope/inner/payload`);
    const { stdout, stderr } = await container.exec(["cat", "/proc/1/cgroup", "/proc/self/cgroup"]);
    expect(stderr).toBe("");
    expect(stdout.match(/^0::.*$/gm)).toEqual(["0::/payload", "0::/payload"]);
    expect((await container.delete("--force")).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "enters the scope without systemd's help, which the kernel denies", runc: IGNORED },
);

systemdSpec(
  `systemd, ${SUBGROUP} ../other: error that names it, nothing left`,
  "promise: an engine's user can't reach the host by an annotation",
  async (sandbox, machine) => {
    const container = scoped(sandbox, { [SUBGROUP]: "../other" });
    expectRefusal(
      await container.create(SYSTEMD),
      inOurWords(`/annotations/${SUBGROUP}: must be a path below`),
    );
    expect(machine.units(`*${container.id}*`)).toEqual([]);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "takes any path", runc: IGNORED },
);
