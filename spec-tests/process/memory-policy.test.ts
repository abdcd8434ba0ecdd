import { existsSync } from "node:fs";
import { expect, type TestContext } from "vitest";
import { running } from "../harness/exec.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CRUN_TOO_OLD = { reason: "1.21 is older than memoryPolicy, and ignores it", before: "1.28" };
const IGNORED_BY_RUNC =
  "memoryPolicy came with 1.4; personality flags, a missing priority and properties left out for exec are ignored, CPU numbers end at 1023, and the scheduler is set with the container's rights";
const RUNC_TOO_OLD = { reason: "1.1 is older than these properties, and ignores them", before: "1.3" };

const POLICY = "config-linux.md, Memory policy";
const PERSONALITY = "config-linux.md, Personality";
const NUMA = ["sed", "-n", "1s/^[^ ]* //p", "/proc/self/numa_maps"];

/** Runs a command with the policy MPOL_PREFERRED, which is inherited. set_mempolicy(2) */
const PREFERRING = [
  "python3",
  "-c",
  `import ctypes, os, sys
number = {"x86_64": 238, "aarch64": 237}[os.uname().machine]
assert ctypes.CDLL(None).syscall(number, 1, ctypes.byref(ctypes.c_ulong(1)), 64) == 0
os.execvp(sys.argv[1], sys.argv[1:])`,
];

function needsNuma(context: TestContext): void {
  if (!existsSync("/proc/self/numa_maps")) context.skip("this kernel has no NUMA policies");
}

/** Policies, and how /proc/PID/numa_maps shows them: mpol_to_str() of the kernel. */
const SHOWN: readonly (readonly [mode: string, nodes: string | undefined, flags: string[], shown: RegExp])[] =
  [
    ["MPOL_DEFAULT", undefined, [], /^default/],
    ["MPOL_BIND", "0", [], /^bind:0/],
    ["MPOL_INTERLEAVE", "0", [], /^interleave:0/],
    ["MPOL_PREFERRED", "0", [], /^prefer:0/],
    ["MPOL_PREFERRED", undefined, [], /^(local|prefer)/],
    ["MPOL_PREFERRED_MANY", "0", [], /^prefer \(many\):0/],
    ["MPOL_LOCAL", "", [], /^local/],
    ["MPOL_BIND", "0", ["MPOL_F_STATIC_NODES"], /^bind=static:0/],
    ["MPOL_INTERLEAVE", "0", ["MPOL_F_RELATIVE_NODES"], /^interleave=relative:0/],
    ["MPOL_BIND", "0-3,1000", ["MPOL_F_STATIC_NODES"], /^bind=static:0/],
  ];

const policyDeviations = byCase({
  crun: CRUN_TOO_OLD,
  runc: IGNORED_BY_RUNC,
  cases: [
    '{"mode":"MPOL_DEFAULT","flags":[]}',
    '{"mode":"MPOL_BIND","nodes":"0","flags":[]}',
    '{"mode":"MPOL_INTERLEAVE","nodes":"0","flags":[]}',
    '{"mode":"MPOL_PREFERRED","nodes":"0","flags":[]}',
    '{"mode":"MPOL_PREFERRED","flags":[]}',
    '{"mode":"MPOL_PREFERRED_MANY","nodes":"0","flags":[]}',
    '{"mode":"MPOL_LOCAL","nodes":"","flags":[]}',
    '{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES"]}',
    '{"mode":"MPOL_INTERLEAVE","nodes":"0","flags":["MPOL_F_RELATIVE_NODES"]}',
    '{"mode":"MPOL_BIND","nodes":"0-3,1000","flags":["MPOL_F_STATIC_NODES"]}',
  ],
});

for (const [mode, nodes, flags, shown] of SHOWN) {
  const policy = { mode, ...(nodes !== undefined && { nodes }), flags };
  spec(
    `run, memoryPolicy ${JSON.stringify(policy)}: the program has it`,
    POLICY,
    async (sandbox, context) => {
      needsNuma(context);
      const container = sandbox.container((config) => {
        config.process.args = [...NUMA];
        config.process.user = { uid: 1000, gid: 1000 };
        config.linux.memoryPolicy = policy;
      });
      // A policy of the caller shows whether that of the config is set at all: MPOL_DEFAULT is what most callers have.
      const wrapper = mode === "MPOL_DEFAULT" ? PREFERRING : [];
      expect(await container.output({ wrapper })).toMatch(shown);
    },
    policyDeviations(JSON.stringify(policy)),
  );
}

for (const [mode, flags, shown] of [
  ["MPOL_WEIGHTED_INTERLEAVE", [], /^weighted interleave:0/],
  // Newer kernels name the flag.
  ["MPOL_BIND", ["MPOL_F_NUMA_BALANCING"], /^bind(=(balancing)?)?:0/],
] as const) {
  spec(
    `create, memoryPolicy ${[mode, ...flags].join(" ")}: accepted, unless the kernel denies it`,
    POLICY,
    async (sandbox, context) => {
      needsNuma(context);
      const container = sandbox.container((config) => {
        config.process.args = [...NUMA];
        config.linux.memoryPolicy = { mode, nodes: "0", flags: [...flags] };
      });
      const result = await container.run();
      if (result.code !== 0) expectRefusal(result, /set_?mempolicy/i);
      else expect(result.stdout).toMatch(shown);
    },
    { crun: CRUN_TOO_OLD, runc: IGNORED_BY_RUNC },
  );
}

spec(
  "exec, memoryPolicy: that of the container",
  POLICY,
  async (sandbox, context) => {
    needsNuma(context);
    const container = await running(sandbox, (config) => {
      config.linux.memoryPolicy = { mode: "MPOL_BIND", nodes: "0" };
    });
    expect((await container.exec(NUMA)).stdout).toMatch(/^bind:0/);
  },
  { crun: "exec has no memoryPolicy", runc: IGNORED_BY_RUNC },
);

spec(
  "create, memoryPolicy on a node that the machine lacks: error that names the property",
  POLICY,
  async (sandbox, context) => {
    needsNuma(context);
    const container = sandbox.container((config) => {
      config.linux.memoryPolicy = { mode: "MPOL_BIND", nodes: "900" };
    });
    expectRefusal(
      await container.create(),
      IS_RUNTS ? /\/linux\/memoryPolicy: .*900: set_mempolicy: invalid argument/ : undefined,
    );
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: CRUN_TOO_OLD, runc: IGNORED_BY_RUNC },
);

const BOTH = ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"];
const WRONG: readonly (readonly [string, object, string])[] = [
  ["mode unknown", { mode: "MPOL_NEAREST" }, "/linux/memoryPolicy/mode"],
  ["no mode", { nodes: "0" }, "/linux/memoryPolicy/mode"],
  ["nodes with MPOL_DEFAULT", { mode: "MPOL_DEFAULT", nodes: "0" }, "/linux/memoryPolicy/nodes"],
  ["nodes with MPOL_LOCAL", { mode: "MPOL_LOCAL", nodes: "0" }, "/linux/memoryPolicy/nodes"],
  ...["BIND", "INTERLEAVE", "WEIGHTED_INTERLEAVE", "PREFERRED_MANY"].map(
    (mode) => [`MPOL_${mode} without nodes`, { mode: `MPOL_${mode}` }, "/linux/memoryPolicy/nodes"] as const,
  ),
  ["nodes backwards", { mode: "MPOL_BIND", nodes: "1-0" }, "/linux/memoryPolicy/nodes"],
  ["nodes of letters", { mode: "MPOL_BIND", nodes: "all" }, "/linux/memoryPolicy/nodes"],
  ["flag unknown", { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_X"] }, "/linux/memoryPolicy/flags/0"],
  ["static and relative nodes", { mode: "MPOL_BIND", nodes: "0", flags: BOTH }, "/linux/memoryPolicy/flags"],
];

for (const [situation, memoryPolicy, pointer] of WRONG) {
  spec(
    `create, memoryPolicy, ${situation}: error that names the property`,
    POLICY,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        Object.assign(config.linux, { memoryPolicy });
      });
      expectRefusal(await container.create(), IS_RUNTS ? `${pointer}: ` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: CRUN_TOO_OLD, runc: IGNORED_BY_RUNC },
  );
}

const UNAME = ["sh", "-c", "cat /proc/self/personality; uname -m"];

for (const [domain, shown] of [
  ["LINUX", "00000000"],
  ["LINUX32", "00000008"],
] as const) {
  spec(
    `run and exec, personality ${domain}: the program has it, whatever the caller's is`,
    PERSONALITY,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.process.args = [...UNAME];
        config.linux.personality = { domain };
      });
      const wrapper = ["setarch", "--addr-no-randomize"];
      const output = await container.output({ wrapper });
      expect(output.split("\n")[0]).toBe(shown);
      if (process.arch === "x64") expect(output.split("\n")[1]).toBe(domain === "LINUX" ? "x86_64" : "i686");
      const other = await running(sandbox, (config) => {
        config.linux.personality = { domain };
      });
      expect((await other.exec(UNAME, { wrapper })).stdout).toBe(output);
    },
    { runc: RUNC_TOO_OLD },
  );
}

const personalityDeviations = byCase(
  { runc: RUNC_TOO_OLD, cases: ["domain unknown", "no domain"] },
  { crun: "flags of the personality are ignored", runc: IGNORED_BY_RUNC, cases: ["a flag"] },
);

for (const [situation, personality, pointer] of [
  ["domain unknown", { domain: "BSD" }, "/linux/personality/domain"],
  ["no domain", {}, "/linux/personality/domain"],
  ["a flag", { domain: "LINUX", flags: ["ADDR_NO_RANDOMIZE"] }, "/linux/personality/flags"],
] as const) {
  spec(
    `create, personality, ${situation}: error that names the property`,
    PERSONALITY,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        Object.assign(config.linux, { personality });
      });
      expectRefusal(await container.create(), IS_RUNTS ? `${pointer}: ` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    personalityDeviations(situation),
  );
}

spec("run, personality with an empty list of flags: accepted", PERSONALITY, async (sandbox) => {
  const container = sandbox.container((config) => {
    config.linux.personality = { domain: "LINUX32", flags: [] };
  });
  expect(await container.output()).toBe("");
});
