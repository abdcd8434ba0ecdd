import { existsSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { cgroupOf, SYSTEMD, scopeOf, systemdSpecs } from "../harness/systemd/spec.ts";

const systemdSpec = systemdSpecs();
const FUSE = { allow: true, type: "c", major: 10, minor: 229, access: "rw" };
const DENY_ALL = { allow: false, access: "rwm" };
/** Says of each node whether it can be opened. /dev/node has the numbers of /dev/fuse, which no default rule allows. */
const OPEN_NODES = `mknod /dev/node c 10 229
for node in null zero node; do dd if=/dev/$node bs=1 count=0 2>&1 | grep -q 'not permitted' && echo $node denied || echo $node open; done`;

function scoped(sandbox: Sandbox, mutate: (config: Config) => void, script = "sleep 1000"): Container {
  const container = sandbox.shell(script, mutate);
  container.config.linux.cgroupsPath = `system.slice:spec:${container.id}`;
  container.writeConfig();
  return container;
}

function withDevices(...devices: Record<string, unknown>[]): (config: Config) => void {
  return (config) => {
    config.linux.resources = { devices };
    const dev = config.mounts.find(({ destination }) => destination === "/dev");
    if (dev !== undefined) dev.options = ["strictatime", "mode=755"];
    const names = ["CAP_MKNOD"];
    config.process.capabilities = { bounding: names, effective: names, permitted: names };
  };
}

function jsonFile(sandbox: Sandbox, value: unknown): string {
  const file = sandbox.path("resources.json");
  writeFileSync(file, JSON.stringify(value));
  return file;
}

async function opened(container: Container): Promise<string> {
  const { stdout } = await container.exec(["sh", "-c", `rm -f /dev/node; ${OPEN_NODES}`]);
  return stdout.trim().replaceAll("\n", ", ");
}

systemdSpec(
  "systemd, devices: the unit has the rules",
  "config-linux.md, Allowed Device list",
  async (sandbox, machine) => {
    const container = scoped(sandbox, withDevices(DENY_ALL, FUSE));
    await container.created(SYSTEMD);
    const shown = machine.show(scopeOf(container, machine), "DevicePolicy", "DeviceAllow");
    expect(shown.DevicePolicy).toBe("strict");
    expect(shown.DeviceAllow).toMatch(/\/dev\/char\/10:229 rw/);
    expect(shown.DeviceAllow).toMatch(/\/dev\/char\/1:3 rwm/);
    expect(shown.DeviceAllow).toMatch(/char-(136|pts) rwm/);
  },
);

systemdSpec(
  "systemd, devices allow all: the unit has no device policy",
  "config-linux.md, Allowed Device list",
  async (sandbox, machine) => {
    const container = scoped(sandbox, withDevices({ allow: true, access: "rwm" }));
    await container.created(SYSTEMD);
    const shown = machine.show(scopeOf(container, machine), "DevicePolicy", "DeviceAllow");
    expect(shown).toEqual({ DevicePolicy: "auto" });
  },
);

for (const [name, rules, expected] of [
  ["deny all", [DENY_ALL], "null open, zero open, node denied"],
  ["deny all but one", [DENY_ALL, FUSE], "null open, zero open, node open"],
] as const) {
  systemdSpec(
    `systemd, devices ${name}: the same before and after daemon-reload`,
    "practice: at daemon-reload, systemd applies the properties of a unit again",
    async (sandbox, machine) => {
      const container = scoped(sandbox, withDevices(...rules));
      await container.started(SYSTEMD);
      expect(await opened(container)).toBe(expected);
      machine.output("systemctl", "daemon-reload");
      expect(await opened(container)).toBe(expected);
    },
  );
}

systemdSpec(
  "systemd, update with devices: the unit has them too, and they survive daemon-reload",
  "practice: at daemon-reload, systemd applies the properties of a unit again",
  async (sandbox, machine) => {
    const container = scoped(sandbox, withDevices(DENY_ALL, FUSE));
    await container.started(SYSTEMD);
    expect(await opened(container)).toBe("null open, zero open, node open");
    const update = (...devices: Record<string, unknown>[]) =>
      sandbox.invoke(["update", "--resources", "-", container.id], {
        stdin: jsonFile(sandbox, { devices }),
      });
    expect(await update(DENY_ALL)).toMatchObject({ code: 0, stderr: "" });
    expect(machine.show(scopeOf(container, machine), "DeviceAllow").DeviceAllow).not.toContain("10:229");
    expect(await opened(container)).toBe("null open, zero open, node denied");
    machine.output("systemctl", "daemon-reload");
    expect(await opened(container)).toBe("null open, zero open, node denied");
    expect(await update(DENY_ALL, FUSE)).toMatchObject({ code: 0, stderr: "" });
    expect(await opened(container)).toBe("null open, zero open, node open");
  },
  { crun: "only adds to a unit's list of devices", runc: "update takes neither devices nor huge pages" },
);

systemdSpec(
  "systemd, devices add and remove: the unit has the rule as long as the container, also after daemon-reload and update",
  "practice: at daemon-reload, systemd applies the properties of a unit again",
  async (sandbox, machine) => {
    const container = scoped(sandbox, withDevices(DENY_ALL));
    await container.started(SYSTEMD);
    const node = sandbox.path("fuse");
    machine.output("mknod", node, "c", "10", "229");
    const allowed = () => machine.show(scopeOf(container, machine), "DeviceAllow").DeviceAllow;
    const devices = (action: string) =>
      sandbox.invoke(["devices", action, container.id, `${node}:/dev/added`]);
    expect(await opened(container)).toBe("null open, zero open, node denied");
    expect(await devices("add")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(allowed()).toContain("/dev/char/10:229 rwm");
    for (const change of [
      ["daemon-reload"],
      ["set-property", "--runtime", scopeOf(container, machine), "TasksMax=999"],
    ]) {
      expect(await opened(container)).toBe("null open, zero open, node open");
      machine.output("systemctl", ...change);
    }
    expect(await opened(container)).toBe("null open, zero open, node open");
    const stdin = jsonFile(sandbox, { devices: [DENY_ALL] });
    const update = ["update", "--resources", "-", container.id];
    expect(await sandbox.invoke(update, { stdin })).toMatchObject({ code: 0, stderr: "" });
    expect(allowed()).toContain("/dev/char/10:229 rwm");
    expect(await opened(container)).toBe("null open, zero open, node open");
    expect(await devices("remove")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(allowed()).not.toContain("10:229");
    expect(await opened(container)).toBe("null open, zero open, node denied");
    machine.output("systemctl", "daemon-reload");
    expect(await opened(container)).toBe("null open, zero open, node denied");
    expect((await container.exec(["ls", "/dev/added"])).stderr).toMatch(/No such file/);
  },
  { both: "has no such command" },
);

systemdSpec(
  "systemd, devices add that fails at the node: neither the unit nor the cgroup keeps the rule",
  "promise: node and rule, or neither",
  async (sandbox, machine) => {
    const container = scoped(sandbox, withDevices(DENY_ALL));
    await container.started(SYSTEMD);
    const node = sandbox.path("fuse");
    machine.output("mknod", node, "c", "10", "229");
    const before = machine.show(scopeOf(container, machine), "DeviceAllow", "DevicePolicy");
    const result = await sandbox.invoke(["devices", "add", container.id, `${node}:/read-only`]);
    expectRefusal(result, /mknodat: read-only file system/);
    expect(machine.show(scopeOf(container, machine), "DeviceAllow", "DevicePolicy")).toEqual(before);
    expect(await opened(container)).toBe("null open, zero open, node denied");
  },
  { both: "has no such command" },
);

systemdSpec(
  "systemd, limits of -1: infinity in the unit",
  "practice of runc and crun: limits are properties of the unit",
  async (sandbox, machine) => {
    const container = scoped(sandbox, (config) => {
      config.linux.resources = { memory: { limit: -1 }, pids: { limit: -1 }, cpu: { quota: -1 } };
    });
    await container.created(SYSTEMD);
    const unit = scopeOf(container, machine);
    expect(machine.show(unit, "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec")).toEqual({
      MemoryMax: "infinity",
      TasksMax: "infinity",
      CPUQuotaPerSecUSec: "infinity",
    });
  },
  { both: "a memory limit of -1 is written although the host has no memory controller" },
);

systemdSpec(
  "systemd, update of limits: the unit has them too",
  "practice of runc and crun: limits are properties of the unit",
  async (sandbox, machine) => {
    const container = scoped(sandbox, () => undefined);
    await container.started(SYSTEMD);
    for (const resources of [
      { memory: { limit: 67108864, swap: 134217728, reservation: 4096 } },
      { cpu: { quota: 33333, period: 50000 } },
      { cpu: { cpus: "0-1", mems: "0" } },
      { pids: { limit: 55 } },
    ]) {
      // Without the controller, this fails at the cgroup's files, after the unit has got the limit.
      await sandbox.invoke(["update", "--resources", "-", container.id], {
        stdin: jsonFile(sandbox, resources),
      });
    }
    const expected = {
      MemoryMax: "67108864",
      MemorySwapMax: "67108864",
      MemoryLow: "4096",
      CPUQuotaPerSecUSec: "670ms",
      CPUQuotaPeriodUSec: "50ms",
      AllowedCPUs: "0-1",
      AllowedMemoryNodes: "0",
      TasksMax: "55",
    };
    expect(machine.show(scopeOf(container, machine), ...Object.keys(expected))).toEqual(expected);
  },
  { crun: "memory and swap together are told as swap alone" },
);

systemdSpec(
  "systemd, limits of huge pages, which no unit has: written to the cgroup's files",
  "config-linux.md, Huge page limits",
  async (sandbox, machine, context) => {
    const size = "2MB";
    if (!existsSync("/sys/kernel/mm/hugepages/hugepages-2048kB")) context.skip("needs huge pages of 2 MB");
    const container = scoped(sandbox, (config) => {
      config.linux.resources = { hugepageLimits: [{ pageSize: size, limit: 4194304 }] };
    });
    await container.started(SYSTEMD);
    const file = `/sys/fs/cgroup${await cgroupOf(container, machine)}/hugetlb.${size}.max`;
    expect(machine.output("cat", file)).toBe("4194304");
    const stdin = jsonFile(sandbox, { hugepageLimits: [{ pageSize: size, limit: 2097152 }] });
    expect((await sandbox.invoke(["update", "--resources", "-", container.id], { stdin })).code).toBe(0);
    expect(machine.output("cat", file)).toBe("2097152");
    machine.output("systemctl", "daemon-reload");
    expect(machine.output("cat", file)).toBe("2097152");
  },
  { runc: "update takes neither devices nor huge pages" },
);

systemdSpec(
  "systemd, a limit whose controller is missing: error, nothing left",
  "config-linux.md: the runtime MUST generate an error",
  async (sandbox, machine, context) => {
    if (machine.output("cat", "/sys/fs/cgroup/cgroup.controllers").includes("memory"))
      context.skip("needs a host without the memory controller");
    const container = scoped(sandbox, (config) => {
      config.linux.resources = { memory: { limit: 1 << 24 } };
    });
    expectRefusal(await container.create(SYSTEMD), /memory/);
    expect(machine.units(`*${sandbox.tag}*`)).toEqual([]);
  },
);

systemdSpec(
  "systemd, org.systemd.property annotations: the unit has the properties",
  "practice of runc and crun: annotations of engines",
  async (sandbox, machine) => {
    const container = scoped(sandbox, (config) => {
      config.annotations = {
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.TimeoutStopUSec": "uint64 5000000",
        "org.systemd.property.RuntimeMaxSec": "uint64 3600",
        "org.systemd.property.SendSIGHUP": "true",
        "org.systemd.property.After": "['spec.target']",
      };
    });
    await container.created(SYSTEMD);
    const properties = ["CollectMode", "TimeoutStopUSec", "RuntimeMaxUSec", "SendSIGHUP", "After"];
    expect(machine.show(scopeOf(container, machine), ...properties)).toMatchObject({
      CollectMode: "inactive-or-failed",
      TimeoutStopUSec: "5s",
      RuntimeMaxUSec: "1h",
      SendSIGHUP: "yes",
      After: expect.stringContaining("spec.target"),
    });
  },
);

systemdSpec(
  "systemd, org.systemd.property annotations for slice and devices: the config's values win",
  "promise: users of an engine may give annotations",
  async (sandbox, machine) => {
    const container = scoped(sandbox, (config) => {
      config.annotations = {
        "org.systemd.property.Slice": "'user.slice'",
        "org.systemd.property.DevicePolicy": "'auto'",
      };
    });
    await container.created(SYSTEMD);
    const found = machine.show(scopeOf(container, machine), "Slice", "DevicePolicy");
    expect(found).toMatchObject({ Slice: "system.slice", DevicePolicy: "strict" });
  },
  { both: "an annotation replaces the slice that the config has" },
);

const deviations = byCase(
  { crun: "an unsigned property takes a negative number", cases: ["uint64 -1"] },
  { crun: "systemd's own message, which names no property", cases: ["'much'"] },
);

for (const [name, value] of [
  ["TimeoutStopUSec", "5 seconds"],
  ["TimeoutStopUSec", "uint64 -1"],
  ["Unheard", "true"],
  ["MemoryMax", "'much'"],
  ["No.Letters", "true"],
] as const) {
  systemdSpec(
    `systemd, org.systemd.property.${name} = ${value}: error that names it, nothing left`,
    "practice of runc and crun: annotations of engines",
    async (sandbox, machine) => {
      const container = scoped(sandbox, (config) => {
        config.annotations = { [`org.systemd.property.${name}`]: value };
      });
      expectRefusal(await container.create(SYSTEMD), name);
      expect(machine.units(`*${sandbox.tag}*`)).toEqual([]);
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(value),
  );
}

spec(
  "create --systemd-cgroup without systemd: error that says so",
  "promise: errors name what is missing",
  async (sandbox, context) => {
    if (existsSync("/run/systemd/system")) context.skip("needs a host without systemd");
    expectRefusal(await scoped(sandbox, () => undefined).create(SYSTEMD), /systemd|dbus|bus/);
  },
);
