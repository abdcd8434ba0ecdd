import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Linux } from "../harness/config.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config-linux.md, IntelRdt";
const MOUNT = / (\S+) [^\n]* - resctrl /.exec(readFileSync("/proc/self/mountinfo", "utf8"))?.[1];

const SETTINGS: readonly (readonly [situation: string, intelRdt: NonNullable<Linux["intelRdt"]>])[] = [
  ["closID", { closID: "no-such-class" }],
  ["l3CacheSchema", { l3CacheSchema: "L3:0=f" }],
  ["memBwSchema", { memBwSchema: "MB:0=20" }],
  ["schemata", { schemata: ["L3:0=f"] }],
  ["enableMonitoring", { enableMonitoring: true }],
  ["nothing in it", {}],
];

for (const [situation, intelRdt] of SETTINGS) {
  spec(
    `intelRdt with ${situation}, no resctrl mounted: error that names it, nothing left`,
    `${CLAUSE}: MUST generate an error`,
    async (sandbox, context) => {
      if (MOUNT !== undefined) context.skip("this machine has resctrl");
      const container = sandbox.container((config) => {
        config.linux.intelRdt = intelRdt;
      });
      expectRefusal(await container.create(), IS_RUNTS ? "runts: /linux/intelRdt: no resctrl" : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}

for (const [situation, intelRdt, pointer] of [
  ["closID .", { closID: "." }, "closID"],
  ["closID ..", { closID: ".." }, "closID"],
  ["closID with a slash", { closID: "a/b" }, "closID"],
  ["closID with a line break", { closID: "a\nb" }, "closID"],
  ["memBwSchema of another resource", { memBwSchema: "L3:0=f" }, "memBwSchema"],
  ["memBwSchema of two lines", { memBwSchema: "MB:0=20\nL3:0=f" }, "memBwSchema"],
  ["schemata with two lines in one", { schemata: ["L3:0=f", "L2:0=1\nMB:0=20"] }, "schemata/1"],
] as const) {
  spec(`intelRdt, ${situation}: error that names it, nothing left`, CLAUSE, async (sandbox) => {
    const container = sandbox.container();
    const { config } = container;
    container.writeConfig(JSON.stringify({ ...config, linux: { ...config.linux, intelRdt } }));
    const words = IS_RUNTS ? `/linux/intelRdt/${pointer}: must ` : undefined;
    expectRefusal(await container.create(), words);
    expect(await sandbox.traces()).toEqual([]);
  });
}

spec(
  "intelRdt not set: resctrl is not touched, and not needed",
  `${CLAUSE}: MUST NOT manipulate`,
  async (sandbox) => {
    const groups = (): readonly string[] => (MOUNT === undefined ? [] : readdirSync(MOUNT));
    const before = groups();
    const container = sandbox.shell("sleep 1000");
    await container.created();
    const { pid } = await container.state();
    expect(groups()).toEqual(before);
    const file = `/proc/${pid}/cpu_resctrl_groups`;
    if (existsSync(file))
      expect(readFileSync(file, "utf8")).toBe(readFileSync("/proc/self/cpu_resctrl_groups", "utf8"));
  },
);

for (const [option, value] of [
  ["--l3-cache-schema", "L3:0=f"],
  ["--mem-bw-schema", "MB:0=20"],
] as const) {
  spec(
    `update ${option}, a container without intelRdt: error that names it`,
    `${CLAUSE}: unset, MUST NOT be touched`,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000");
      await container.started();
      const result = await sandbox.invoke(["update", option, value, container.id]);
      expectRefusal(
        result,
        IS_RUNTS ? `${option}: container ${container.id} was created without` : undefined,
      );
    },
  );
}

spec("update --mem-bw-schema without MB: error that names it", `${CLAUSE}: memBwSchema`, async (sandbox) => {
  const container = sandbox.shell("sleep 1000");
  await container.started();
  const result = await sandbox.invoke(["update", "--mem-bw-schema", "L3:0=f", container.id]);
  expectRefusal(result, IS_RUNTS ? '--mem-bw-schema: must start with "MB:"' : undefined);
});
