import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { setNamespace } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { couldChange } from "../harness/explain/changing-call.ts";
import { explain, explained } from "../harness/explain/explain.ts";
import type { Explanation } from "../harness/explain/explained.ts";
import { routeChange } from "../harness/explain/rtnetlink.ts";
import { readTrace, straceWrapper, type TracedCall } from "../harness/explain/strace.ts";
import { host, moving, type Net, network } from "../harness/host/network.ts";
import { becomeUser } from "../harness/host/user.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** The requests to rtnetlink in an explanation: step, process, purpose and pointer. */
function changes({ operations }: Explanation): string[] {
  return operations
    .filter(({ call }) => call === "sendto")
    .map(({ step, by, purpose, pointer }) => `${step} ${by}: ${purpose} ${pointer}`);
}

/** Traces explain by strace(1); returns the calls of the runtime, and of a stub that it starts. */
async function traceExplain(sandbox: Sandbox, outside: Net, container: Container): Promise<TracedCall[]> {
  const folder = sandbox.path("traces");
  mkdirSync(folder);
  const wrapper = [...outside.wrapper, ...straceWrapper(join(folder, "explain"))];
  const args = ["explain", "--bundle", container.bundle, container.id];
  const { stderr } = await sandbox.invoke(args, { wrapper, timeoutMs: 60_000 });
  expect(stderr).toBe("");
  return [...readTrace(join(folder, "explain")).values()].flat();
}

/** Expects that explain and create fail with the same error. Returns the requests before it. */
async function expectSameFailure(
  sandbox: Sandbox,
  container: Container,
  pointer: string,
): Promise<readonly string[]> {
  const explanation = await explained(sandbox, container, "--as", "caller");
  const created = await container.create();
  expect(created.code).toBe(1);
  expect(explanation.error).toEqual({ message: created.stderr.replace(/^runts: /, "").trim(), pointer });
  return changes(explanation);
}

spec(
  "explain with netDevices: each request with its interface, in order, before hooks",
  "explain",
  async (sandbox, context) => {
    const outside = host(sandbox, context);
    outside.run("ip", "link", "add", "second", "type", "veth", "peer", "name", "vc");
    const container = sandbox.shell("exit 0", (config) => {
      moving({ va: { name: "eth0" }, second: {} })(config);
      config.hooks = { createRuntime: [{ path: "/bin/true" }] };
    });
    sandbox.wrapper = outside.wrapper;
    const explanation = await explained(sandbox, container);
    expect([explanation.error, explanation.warnings]).toEqual([undefined, []]);
    expect(changes(explanation)).toEqual([
      "2 runtime: move the interface va to the container as eth0 /linux/netDevices/va",
      "2 runtime: give eth0 the address 192.0.2.7/24 /linux/netDevices/va",
      "2 runtime: give eth0 the address 192.0.2.8/24 /linux/netDevices/va",
      "2 runtime: give eth0 the address 2001:db8::7/64 /linux/netDevices/va",
      "2 runtime: set eth0 up /linux/netDevices/va",
      "2 runtime: move the interface second to the container /linux/netDevices/second",
      "2 runtime: set second up /linux/netDevices/second",
    ]);
    const calls = explanation.operations.map(({ call }) => call);
    const hook = explanation.operations.findIndex(({ by }) => by === "createRuntime hook 0");
    expect(calls.lastIndexOf("sendto")).toBeLessThan(hook);
    const { stdout } = await explain(sandbox, container);
    expect(stdout).toMatch(/ {2}runtime: set eth0 up +\/linux\/netDevices\/va\n/);
    expect(stdout).toContain(
      'sendto(<route socket of the host>, [{nlmsg_type=RTM_SETLINK, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK}, {ifi_index=if_nametoindex("va"), ifi_flags=0, ifi_change=0}, [[{nla_type=IFLA_NET_NS_FD}, <fd of /proc/init/ns/net>], ',
    );
  },
  { both: "has no such command" },
);

spec(
  "explain with netDevices: the interface stays in place, and nothing is changed",
  "explain",
  async (sandbox, context) => {
    const outside = host(sandbox, context);
    const before = outside.show("va");
    const container = sandbox.shell("exit 0", moving({ va: { name: "eth0" } }));
    const calls = await traceExplain(sandbox, outside, container);
    // It does ask for the addresses.
    expect(calls.some(({ call, args }) => call === "sendto" && /RTM_GETADDR/.test(args[1] ?? ""))).toBe(true);
    expect(calls.filter(couldChange)).toEqual([]);
    expect(outside.show("va")).toBe(before);
    expect(outside.names().sort()).toEqual(["va", "vb"]);
  },
  { both: "has no such command" },
);

spec(
  "explain with netDevices and a joined network namespace: asked, and not changed",
  "explain",
  async (sandbox, context) => {
    const [outside, inside] = [host(sandbox, context), network(sandbox, "inside")];
    inside.add("eth0");
    const [before, there] = [outside.show("va"), inside.names()];
    const container = sandbox.shell("exit 0", moving({ va: { name: "eth%d" } }, inside));
    const calls = await traceExplain(sandbox, outside, container);
    expect(calls.filter((call) => routeChange(call) !== undefined)).toEqual([]);
    expect(outside.show("va")).toBe(before);
    expect(inside.names()).toEqual(there);
    sandbox.wrapper = outside.wrapper;
    const explanation = await explained(sandbox, container);
    expect(explanation.notes.join()).not.toContain("network namespace");
    expect(changes(explanation).at(-1)).toContain(": set eth1 up ");
  },
  { both: "has no such command" },
);

for (const [situation, devices, pointer, last] of [
  ["no such interface", { none0: {} }, "/linux/netDevices/none0", undefined],
  ["one that is missing after one that is there", { vb: {}, none0: {} }, "/linux/netDevices/none0", "vb"],
  ["two of one name", { vb: { name: "e0" }, va: { name: "e0" } }, "/linux/netDevices/va/name", "e0"],
  ["the name lo", { va: { name: "lo" } }, "/linux/netDevices/va/name", undefined],
  ["the host's lo", { lo: { name: "lo1" } }, "/linux/netDevices/lo", undefined],
] as const) {
  spec(
    `explain with netDevices, ${situation}: the error of create`,
    "explain",
    async (sandbox, context) => {
      const outside = host(sandbox, context);
      sandbox.wrapper = outside.wrapper;
      const done = await expectSameFailure(sandbox, sandbox.shell("exit 0", moving(devices)), pointer);
      // Requests that move an interface back are not explained.
      expect(done.at(-1)).toBe(last && `2 runtime: set ${last} up /linux/netDevices/vb`);
    },
    { both: "has no such command" },
  );
}

spec(
  "explain with netDevices, a name that is taken in the joined namespace: the error of create",
  "explain",
  async (sandbox, context) => {
    const [outside, inside] = [host(sandbox, context), network(sandbox, "inside")];
    inside.add("eth0");
    sandbox.wrapper = outside.wrapper;
    const container = sandbox.shell("exit 0", moving({ va: { name: "eth0" } }, inside));
    await expectSameFailure(sandbox, container, "/linux/netDevices/va/name");
  },
  { both: "has no such command" },
);

spec(
  "explain with netDevices and the runtime's own network namespace: the error of create",
  "explain",
  async (sandbox, context) => {
    sandbox.wrapper = host(sandbox, context).wrapper;
    const container = sandbox.shell("exit 0", (config) => {
      moving({ va: {} })(config);
      setNamespace(config, "network", { type: "network", path: "/proc/self/ns/net" });
    });
    await expectSameFailure(sandbox, container, "/linux/netDevices/va");
  },
  { both: "has no such command" },
);

spec(
  "explain with netDevices by a user without privileges: the same as for root, with a joined namespace taken for a new one",
  "explain",
  async (sandbox, context) => {
    const [outside, inside] = [host(sandbox, context), network(sandbox, "inside")];
    inside.add("other");
    const made = sandbox.shell("exit 0", moving({ va: { name: "eth0" } }));
    const joining = sandbox.shell("exit 0", moving({ va: { name: "eth0" } }, inside));
    sandbox.wrapper = outside.wrapper;
    const asRoot = await explained(sandbox, made);
    becomeUser(sandbox);
    sandbox.wrapper = [...outside.wrapper, ...sandbox.wrapper];
    const asUser = await explained(sandbox, made);
    expect(changes(asUser)).toEqual(changes(asRoot));
    const assumed = await explained(sandbox, joining);
    expect(changes(assumed)).toEqual(changes(asRoot));
    expect(assumed.notes.join()).toMatch(
      /\/linux\/namespaces\/\d\/path: which interfaces .* only lo is assumed/,
    );
    const { error } = await explained(sandbox, made, "--as", "caller");
    expect(error?.message).toBe(
      "/linux/netDevices/va: move the interface va: needs a caller that is root on the host",
    );
  },
  { both: "has no such command" },
);

spec(
  "explain --as caller with netDevices and without CAP_NET_ADMIN: the error of create",
  "explain",
  async (sandbox, context) => {
    // Joined, since the loopback interface of a new one would need CAP_NET_ADMIN first.
    const [outside, inside] = [host(sandbox, context), network(sandbox, "inside")];
    sandbox.wrapper = [...outside.wrapper, "setpriv", "--bounding-set=-net_admin", "--"];
    const container = sandbox.shell("exit 0", moving({ va: { name: "eth0" } }, inside));
    expect(await expectSameFailure(sandbox, container, "/linux/netDevices/va")).toEqual([]);
  },
  { both: "has no such command" },
);

spec(
  "explain --diff with netDevices: the requests that differ",
  "explain",
  async (sandbox, context) => {
    const outside = host(sandbox, context);
    sandbox.wrapper = outside.wrapper;
    const one = sandbox.shell("exit 0", moving({ va: { name: "eth0" } }));
    const other = sandbox.shell("exit 0", (config) => {
      moving({ va: { name: "eth0" }, vb: {} })(config);
      config.linux.cgroupsPath = one.config.linux.cgroupsPath ?? "";
    });
    const { stdout, stderr } = await sandbox.invoke([
      "explain",
      "--diff",
      "--brief",
      one.bundle,
      other.bundle,
    ]);
    expect(stderr).toBe("");
    const lines = stdout.split("\n").filter((line) => /^[-+] /.test(line));
    expect(lines.map((line) => line.replace(/ +/g, " "))).toEqual([
      "+ runtime: move the interface vb to the container /linux/netDevices/vb",
      "+ runtime: set vb up /linux/netDevices/vb",
    ]);
  },
  { both: "has no such command" },
);
