import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import type { Explained, Explanation } from "../harness/explain/explained.ts";
import { compareWithExplanation } from "../harness/explain/explained-container.ts";
import { readTrace, straceWrapper } from "../harness/explain/strace.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { type AskedProperty, askedProperties } from "../harness/systemd/bus.ts";
import { rootless, SYSTEMD, systemdSpecs } from "../harness/systemd/spec.ts";

/** Compares `--systemd-cgroup explain` with the requests that systemd gets, and with strace(1) of create and start. */

const systemdSpec = systemdSpecs();
const DEVICES = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
];

function scoped(
  sandbox: Sandbox,
  mutate: (config: Config) => void = () => undefined,
  path = (id: string) => `spec-part.slice:pre:${id}`,
): Container {
  const container = sandbox.shell("exit 0", mutate);
  container.config.linux.cgroupsPath = path(container.id);
  container.writeConfig();
  return container;
}

async function explained(sandbox: Sandbox, container: Container): Promise<Explanation> {
  const args = ["--systemd-cgroup", "explain", "--json", "--bundle", container.bundle, container.id];
  return JSON.parse((await sandbox.invoke(args)).stdout);
}

/** A property in the form that both have: busctl shows the real pid, and rounds the largest numbers, as JSON does. */
function comparable([name, value]: AskedProperty): AskedProperty {
  if (name === "PIDs") return [name, value.replace(/<pid of init>|\d+(?=\])/, "N")];
  return [name, value.replace(/\d{17,}/g, (digits) => String(Number(digits)))];
}

function propertiesOf(operations: readonly Explained[]): AskedProperty[] {
  return operations.flatMap(({ call, args: [name = "", value = ""] }) =>
    call === "property" ? [comparable([name, value])] : [],
  );
}

const CONFIGS: Readonly<Record<string, (config: Config) => void>> = {
  "the default config": () => undefined,
  "devices, annotations and no default": (config) => {
    config.linux.resources = { devices: DEVICES };
    config.annotations = {
      "org.systemd.property.CollectMode": "'inactive-or-failed'",
      "org.systemd.property.TimeoutStopUSec": "uint64 5000000",
      "org.systemd.property.RuntimeMaxSec": "uint64 3600",
      "org.systemd.property.SendSIGHUP": "true",
      "org.systemd.property.After": "['spec.target', 'other.target']",
      "org.systemd.property.Description": '"another"',
    };
  },
  "all devices": (config) => {
    config.linux.resources = { devices: [{ allow: true, access: "rwm" }] };
  },
  "limits for which there may be no controller": (config) => {
    config.linux.resources = {
      memory: { limit: 67_108_864, swap: 134_217_728, reservation: 4096 },
      cpu: { quota: 33_333, period: 50_000, shares: 512, cpus: "0-1", mems: "0" },
      pids: { limit: 55 },
      unified: { "memory.high": "max", "memory.oom.group": "1" },
    };
  },
};

for (const [name, mutate] of Object.entries(CONFIGS)) {
  systemdSpec(
    `explain --systemd-cgroup with ${name}: the properties that create gives to systemd`,
    "explain",
    async (sandbox, machine) => {
      const container = scoped(sandbox, mutate);
      const { operations, error } = await explained(sandbox, container);
      const asked = await askedProperties(sandbox, machine, async () => {
        const { stderr } = await container.create(SYSTEMD);
        expect(stderr.replace(/^runts: /, "").trim()).toBe(error?.message ?? "");
      });
      expect(propertiesOf(operations)).toEqual(asked.map(comparable));
      if (error === undefined) await container.delete("--force");
    },
    { both: "has no such command" },
  );
}

systemdSpec(
  "explain --systemd-cgroup: the operations of create and start, call by call",
  "explain",
  async (sandbox) => {
    const container = scoped(sandbox, (config) => {
      config.linux.resources = {
        devices: DEVICES,
        // The only controller of the unified hierarchy here, if any.
        hugepageLimits: [{ pageSize: "2MB", limit: 4_194_304 }],
      };
    });
    const { notes } = await compareWithExplanation(sandbox, container, SYSTEMD);
    expect(notes).toEqual([]);
    expect((await container.delete()).code).toBe(0);
  },
  { both: "has no such command" },
);

systemdSpec(
  "explain --systemd-cgroup --as caller by a user: the operations of create and start with the user's systemd",
  "explain",
  async (sandbox, machine) => {
    sandbox.wrapper = machine.userWrapper;
    const container = rootless(sandbox, "exit 0");
    const { operations, notes } = await compareWithExplanation(sandbox, container, {
      ...SYSTEMD,
      explainFlags: ["--as", "caller"],
    });
    expect(notes).toEqual([]);
    expect(operations.map(({ call }) => call)).toContain("sd_bus_open_user");
    expect(propertiesOf(operations).map(([name]) => name)).not.toContain("DevicePolicy");
    expect((await container.delete()).code).toBe(0);
  },
  { both: "has no such command" },
);

systemdSpec(
  "explain --systemd-cgroup with the unit of another container: the error of create",
  "explain",
  async (sandbox) => {
    const path = () => `system.slice:spec:${sandbox.tag}-same`;
    const first = scoped(sandbox, undefined, path);
    const second = scoped(sandbox, undefined, path);
    await first.created(SYSTEMD);
    const { error } = await explained(sandbox, second);
    expect(error?.message).toContain("container's cgroup is not empty: 1 process(es) found");
    expect((await second.create(SYSTEMD)).stderr).toBe(`runts: ${error?.message}\n`);
    expect((await first.delete("--force")).code).toBe(0);
  },
  { both: "has no such command" },
);

systemdSpec(
  "explain --systemd-cgroup where systemd runs: asks only for its cgroup",
  "explain",
  async (sandbox, machine) => {
    const container = scoped(sandbox);
    const folder = sandbox.path("traces");
    mkdirSync(folder);
    const wrapper = [...machine.wrapper, ...straceWrapper(join(folder, "explain"))];
    const args = ["--systemd-cgroup", "explain", "--bundle", container.bundle, container.id];
    expect((await sandbox.invoke(args, { wrapper })).code).toBe(0);
    const messages = [...readTrace(join(folder, "explain")).values()]
      .flat()
      .filter(({ call }) => call === "sendmsg")
      .map(({ args: [, message = ""] }) => message);
    expect(messages.join()).toContain("ControlGroup");
    const others = messages.filter((message) => !/AUTH EXTERNAL|\\0Hello\\0|\\0Get\\0/.test(message));
    expect(others).toEqual([]);
    expect(machine.units(`*${container.id}*`)).toEqual([]);
    expect(existsSync(sandbox.root)).toBe(false);
  },
  { both: "has no such command" },
);
