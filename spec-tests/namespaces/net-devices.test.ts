import { execFileSync } from "node:child_process";
import { expect } from "vitest";
import { setNamespace } from "../harness/config.ts";
import { host, moving, network } from "../harness/host/network.ts";
import { mappedShell } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CRUN_TOO_OLD = {
  reason: "linux.netDevices came with runtime-spec 1.3: older versions ignore it",
  before: "1.28",
};
const NO_TEMPLATES = {
  reason: "%d in a name is not expanded, and an address keeps the label of the old name",
  from: "1.28",
};
const RUNC_TOO_OLD = {
  reason: "linux.netDevices came with runtime-spec 1.3: older versions ignore it",
  before: "1.4",
};
const STAYS_MOVED = {
  reason: "an interface that was moved stays there when a later step fails",
  from: "1.28",
};
const IGNORED = {
  reason: "netDevices are ignored for a user, and without a network namespace of the container's",
  from: "1.28",
};

const CLAUSE = "config-linux.md, Network Devices";

/** Expects an error, which under runts begins with the pointer of the property. */
function expectNamed(result: Result, pointer: string): void {
  expectRefusal(result, IS_RUNTS ? `runts: ${pointer}: ` : undefined);
}

spec(
  "run, netDevices with a name: moved, renamed, up, with its attributes and permanent addresses",
  `${CLAUSE}: MUST preserve, MUST set up`,
  async (sandbox, context) => {
    const outside = host(sandbox, context);
    const script = "ip -o addr show dev eth0; ip -o link show dev eth0; ls /sys/class/net";
    const container = sandbox.shell(script, moving({ va: { name: "eth0" } }));
    const { stdout } = await container.run({ wrapper: outside.wrapper });
    expect(stdout).toMatch(/inet 192\.0\.2\.7\/24 brd 192\.0\.2\.255 .*\beth0:main\b/);
    expect(stdout).toMatch(/inet 192\.0\.2\.8\/24 .*secondary eth0\b/);
    expect(stdout).toMatch(/inet6 2001:db8::7\/64 scope global/);
    expect(stdout).toMatch(/<[^>]*\bUP\b[^>]*> mtu 1400\b/);
    expect(stdout).toContain("02:00:00:00:00:77");
    expect(stdout).toMatch(/\neth0\nlo\n$/);
    expect(outside.names()).not.toContain("va");
  },
  { crun: [CRUN_TOO_OLD, NO_TEMPLATES], runc: RUNC_TOO_OLD },
);

spec(
  "run, netDevices without a name: the interface keeps the host's name",
  `${CLAUSE}: name OPTIONAL`,
  async (sandbox, context) => {
    const outside = host(sandbox, context);
    const container = sandbox.shell("ip -o addr show dev va", moving({ va: {} }));
    const { stdout } = await container.run({ wrapper: outside.wrapper });
    expect(stdout).toMatch(/inet 192\.0\.2\.7\/24 .*\bva:main\b/);
    expect(stdout).toContain("2001:db8::7/64");
  },
  { crun: CRUN_TOO_OLD, runc: RUNC_TOO_OLD },
);

spec(
  "run, netDevices, addresses that are not permanent or not global: not kept",
  `${CLAUSE}: IFA_F_PERMANENT, RT_SCOPE_UNIVERSE`,
  async (sandbox, context) => {
    const outside = host(sandbox, context);
    outside.run(
      "ip",
      "address",
      "add",
      "198.51.100.1/24",
      "dev",
      "va",
      "valid_lft",
      "900",
      "preferred_lft",
      "900",
    );
    outside.run("ip", "address", "add", "203.0.113.1/24", "dev", "va", "scope", "link");
    const container = sandbox.shell("ip -o addr show dev eth0", moving({ va: { name: "eth0" } }));
    const { stdout } = await container.run({ wrapper: outside.wrapper });
    expect(stdout).toContain("192.0.2.7/24");
    expect(stdout).not.toContain("198.51.100.1");
    expect(stdout).not.toContain("203.0.113.1");
  },
  { crun: CRUN_TOO_OLD, runc: RUNC_TOO_OLD },
);

spec(
  "create, netDevices, the name exists in the container: error, both namespaces as before",
  `${CLAUSE}: MUST generate an error`,
  async (sandbox, context) => {
    const [outside, inside] = [host(sandbox, context), network(sandbox, "inside")];
    inside.add("eth0");
    const [before, there] = [outside.show("va"), inside.names()];
    const container = sandbox.container(moving({ va: { name: "eth0" } }, inside));
    expectNamed(await container.create({ wrapper: outside.wrapper }), "/linux/netDevices/va/name");
    expect(outside.show("va")).toBe(before);
    expect(inside.names()).toEqual(there);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: [CRUN_TOO_OLD, STAYS_MOVED], runc: RUNC_TOO_OLD },
);

spec(
  "create, netDevices without a name, the host's name exists in the container: error",
  `${CLAUSE}: MUST generate an error`,
  async (sandbox, context) => {
    const [outside, inside] = [host(sandbox, context), network(sandbox, "inside")];
    inside.add("va");
    const container = sandbox.container(moving({ va: {} }, inside));
    expectNamed(await container.create({ wrapper: outside.wrapper }), "/linux/netDevices/va");
    expect(outside.names()).toContain("va");
  },
  { crun: CRUN_TOO_OLD, runc: RUNC_TOO_OLD },
);

spec(
  "run, netDevices with a template: a free name, up, with its addresses",
  `${CLAUSE}: %d MUST be allowed`,
  async (sandbox, context) => {
    const [outside, inside] = [host(sandbox, context), network(sandbox, "inside")];
    inside.add("eth0");
    outside.run("ip", "link", "add", "second", "type", "veth", "peer", "name", "vc");
    const devices = { va: { name: "eth%d" }, second: { name: "eth%d" } };
    const container = sandbox.shell(
      "ip -o addr show dev eth1; cat /sys/class/net/eth2/flags",
      moving(devices, inside),
    );
    const { stdout, stderr } = await container.run({ wrapper: outside.wrapper });
    expect(stderr).toBe("");
    expect(stdout).toMatch(/inet 192\.0\.2\.7\/24 .*\beth1:main\b/);
    expect(stdout).toContain("2001:db8::7/64");
    expect(Number(stdout.trim().split("\n").at(-1)) & 1).toBe(1);
  },
  { crun: [CRUN_TOO_OLD, NO_TEMPLATES], runc: RUNC_TOO_OLD },
);

spec(
  "run, netDevices, the host's name and index exist in the container: moved under the new name",
  CLAUSE,
  async (sandbox, context) => {
    const [outside, inside] = [host(sandbox, context), network(sandbox, "inside")];
    inside.add("va");
    const container = sandbox.shell("ip -o addr show dev net0", moving({ va: { name: "net0" } }, inside));
    const { stdout } = await container.run({ wrapper: outside.wrapper });
    expect(stdout).toContain("192.0.2.7/24");
    expect(inside.names().sort()).toEqual(["net0", "va", "va-peer"]);
    expect(inside.show("va")).not.toContain("192.0.2.7");
  },
  { crun: CRUN_TOO_OLD, runc: RUNC_TOO_OLD },
);

spec(
  "delete, netDevices: the interface stays in the container's network namespace",
  `${CLAUSE}: MUST NOT attempt to move the interface out of the namespace`,
  async (sandbox, context) => {
    const [outside, inside] = [host(sandbox, context), network(sandbox, "inside")];
    const container = sandbox.shell("sleep 1000", moving({ va: { name: "eth0" } }, inside));
    await container.started({ wrapper: outside.wrapper });
    expect((await container.delete("--force")).code).toBe(0);
    expect(inside.names()).toEqual(["eth0"]);
    expect(outside.names()).toEqual(["vb"]);
  },
  { crun: CRUN_TOO_OLD, runc: RUNC_TOO_OLD },
);

spec(
  "create, netDevices, the second is missing: error, the first is back on the host, up and with its addresses",
  "runtime.md, Errors: the environment as before",
  async (sandbox, context) => {
    const outside = host(sandbox, context);
    const before = outside.show("va");
    const container = sandbox.container(moving({ va: { name: "eth0" }, none0: {} }));
    expectNamed(await container.create({ wrapper: outside.wrapper }), "/linux/netDevices/none0");
    expect(outside.show("va")).toBe(before);
    expect(outside.run("cat", "/proc/net/if_inet6")).toMatch(/ va\n/);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: [CRUN_TOO_OLD, STAYS_MOVED], runc: RUNC_TOO_OLD },
);

for (const kind of ["createRuntime", "createContainer"] as const) {
  spec(
    `create, netDevices, a ${kind} hook fails: the interface is back on the host`,
    "runtime.md, Errors: the environment as before",
    async (sandbox, context) => {
      const outside = host(sandbox, context);
      const before = outside.show("va");
      const container = sandbox.container((config) => {
        moving({ va: { name: "eth0" } })(config);
        config.hooks = { [kind]: [{ path: "/bin/false" }] };
      });
      expectRefusal(await container.create({ wrapper: outside.wrapper }), inOurWords(`/hooks/${kind}/0: `));
      expect(outside.show("va")).toBe(before);
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: STAYS_MOVED },
  );
}

spec(
  "run, netDevices: moved before hooks and sysctls",
  "practice of runc and crun",
  async (sandbox, context) => {
    const outside = host(sandbox, context);
    const seen = sandbox.path("seen");
    const container = sandbox.shell("cat /proc/sys/net/ipv4/conf/eth0/forwarding", (config) => {
      moving({ va: { name: "eth0" } })(config);
      config.linux.sysctl = { "net.ipv4.conf.eth0.forwarding": "1" };
      const args = ["sh", "-c", `cat /proc/net/dev > ${seen}`];
      config.hooks = { createContainer: [{ path: "/bin/sh", args, env: ["PATH=/bin"] }] };
    });
    expect((await container.run({ wrapper: outside.wrapper })).stdout).toBe("1\n");
    expect(execFileSync("cat", [seen], { encoding: "utf8" })).toMatch(/\beth0:/);
  },
  { crun: CRUN_TOO_OLD, runc: RUNC_TOO_OLD },
);

for (const [situation, joins] of [
  ["a new network namespace", false],
  ["a joined network namespace", true],
] as const) {
  spec(
    `run, netDevices, a user namespace and ${situation}: moved, with addresses`,
    CLAUSE,
    async (sandbox, context) => {
      const outside = host(sandbox, context);
      const inside = joins ? network(sandbox, "inside") : undefined;
      const container = mappedShell(sandbox, "ip -o addr show dev eth0", (config) => {
        moving({ va: { name: "eth0" } }, inside)(config);
        // sysfs needs a network namespace of the same user namespace.
        config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/sys"));
      });
      const { stdout, stderr } = await container.run({ wrapper: outside.wrapper });
      expect(stderr).toBe("");
      expect(stdout).toContain("192.0.2.7/24");
      expect(stdout).toContain("2001:db8::7/64");
    },
    { crun: CRUN_TOO_OLD, runc: RUNC_TOO_OLD },
  );
}

const deviations = byCase(
  {
    crun: CRUN_TOO_OLD,
    runc: RUNC_TOO_OLD,
    cases: [
      "no such interface",
      "lo",
      "a host name of 16 characters",
      "a host name with a slash",
      "a name of 16 characters",
    ],
  },
  {
    crun: [CRUN_TOO_OLD, STAYS_MOVED],
    runc: RUNC_TOO_OLD,
    cases: [
      "a name with a slash",
      "a name with a colon",
      "a name with a blank",
      "the name ..",
      "a name with two templates",
    ],
  },
);

for (const [situation, devices, pointer] of [
  ["no such interface", { none0: { name: "eth0" } }, "/linux/netDevices/none0"],
  ["lo", { lo: { name: "lo1" } }, "/linux/netDevices/lo"],
  ["a host name of 16 characters", { abcdefghijklmnop: {} }, "/linux/netDevices/abcdefghijklmnop"],
  ["a host name with a slash", { "a/b": {} }, "/linux/netDevices/a~1b"],
  ["a name of 16 characters", { va: { name: "abcdefghijklmnop" } }, "/linux/netDevices/va/name"],
  ["a name with a slash", { va: { name: "a/b" } }, "/linux/netDevices/va/name"],
  ["a name with a colon", { va: { name: "a:b" } }, "/linux/netDevices/va/name"],
  ["a name with a blank", { va: { name: "a b" } }, "/linux/netDevices/va/name"],
  ["the name ..", { va: { name: ".." } }, "/linux/netDevices/va/name"],
  ["a name with two templates", { va: { name: "a%d%d" } }, "/linux/netDevices/va/name"],
] as const) {
  spec(
    `create, netDevices, ${situation}: error that names it, nothing left`,
    CLAUSE,
    async (sandbox, context) => {
      const outside = host(sandbox, context);
      const before = outside.show("va");
      const container = sandbox.container(moving(devices));
      const result = await container.create({ wrapper: outside.wrapper });
      expectRefusal(result, IS_RUNTS ? `${pointer}: ` : undefined);
      expect(outside.show("va")).toBe(before);
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(situation),
  );
}

for (const [situation, path] of [
  ["no network namespace", undefined],
  ["the runtime's network namespace by its path", "/proc/self/ns/net"],
] as const) {
  spec(
    `create, netDevices with ${situation}: error that names it`,
    `${CLAUSE}: needs one`,
    async (sandbox, context) => {
      const outside = host(sandbox, context);
      const before = outside.show("va");
      const container = sandbox.container((config) => {
        moving({ va: { name: "eth0" } })(config);
        setNamespace(config, "network", path === undefined ? undefined : { type: "network", path });
      });
      const result = await container.create({ wrapper: outside.wrapper });
      expectRefusal(result, IS_RUNTS ? "/linux/netDevices/va: " : undefined);
      expect(outside.show("va")).toBe(before);
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: [CRUN_TOO_OLD, IGNORED], runc: RUNC_TOO_OLD },
  );
}

spec(
  "create, netDevices, rootless: error that names it, nothing left",
  "practice of runc",
  async (sandbox, context) => {
    const outside = host(sandbox, context);
    const container = sandbox.container(moving({ va: { name: "eth0" } }));
    const globals = ["--rootless", "true"];
    expectNamed(await container.create({ wrapper: outside.wrapper, globals }), "/linux/netDevices/va");
    expect(outside.names()).toContain("va");
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: [CRUN_TOO_OLD, IGNORED], runc: RUNC_TOO_OLD },
);
