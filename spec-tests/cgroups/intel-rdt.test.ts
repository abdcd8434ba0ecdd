import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Linux } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const IGNORED_WITHOUT_RESCTRL =
  "without resctrl, ignores the property unless it has one of the older schemas; does not know schemata and monitoring yet";
const ANY_SCHEMA = {
  reason: "accepts a schema for a container without intelRdt too, and any text as a schema",
  from: "1.28",
};
const RESCTRL_NOT_FOUND =
  "looks for resctrl at /sys/fs/resctrl by its file system type, and does not accept the directory tree";

const CLAUSE = "config-linux.md, IntelRdt";
const MOUNT = / (\S+) [^\n]* - resctrl /.exec(readFileSync("/proc/self/mountinfo", "utf8"))?.[1];

const SETTINGS: readonly (readonly [situation: string, intelRdt: NonNullable<Linux["intelRdt"]>])[] = [
  ["closID", { closID: "no-such-class" }],
  ["l3CacheSchema", { l3CacheSchema: "L3:0=f" }],
  ["memBwSchema", { memBwSchema: "MB:0=20" }],
  ["schemata", { schemata: ["L3:0=f"] }],
  ["enableMonitoring", { enableMonitoring: true }],
  ["no properties", {}],
];

const unmountedDeviations = byCase({
  runc: IGNORED_WITHOUT_RESCTRL,
  cases: ["closID", "schemata", "enableMonitoring", "no properties"],
});

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
    unmountedDeviations(situation),
  );
}

const valueDeviations = byCase({
  runc: IGNORED_WITHOUT_RESCTRL,
  cases: ["closID with a line break", "schemata with two lines in an entry"],
});

for (const [situation, intelRdt, pointer] of [
  ["closID .", { closID: "." }, "closID"],
  ["closID ..", { closID: ".." }, "closID"],
  ["closID with a slash", { closID: "a/b" }, "closID"],
  ["closID with a line break", { closID: "a\nb" }, "closID"],
  ["memBwSchema of another resource", { memBwSchema: "L3:0=f" }, "memBwSchema"],
  ["memBwSchema of two lines", { memBwSchema: "MB:0=20\nL3:0=f" }, "memBwSchema"],
  ["schemata with two lines in an entry", { schemata: ["L3:0=f", "L2:0=1\nMB:0=20"] }, "schemata/1"],
] as const) {
  spec(
    `intelRdt, ${situation}: error that names it, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container();
      const { config } = container;
      container.writeConfig(JSON.stringify({ ...config, linux: { ...config.linux, intelRdt } }));
      const words = IS_RUNTS ? `/linux/intelRdt/${pointer}: must ` : undefined;
      expectRefusal(await container.create(), words);
      expect(await sandbox.traces()).toEqual([]);
    },
    valueDeviations(situation),
  );
}

spec(
  "intelRdt not set: resctrl is not touched, and not needed",
  `${CLAUSE}: MUST NOT manipulate`,
  async (sandbox) => {
    const resctrl = new FakeResctrl(sandbox);
    const before = resctrl.contents();
    const container = sandbox.shell("sleep 1000");
    await container.created({ wrapper: resctrl.wrapper });
    const { pid } = await container.state();
    expect(resctrl.contents()).toEqual(before);
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
    { crun: ANY_SCHEMA },
  );
}

spec(
  "update --mem-bw-schema without MB: error that names it",
  `${CLAUSE}: memBwSchema`,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.started();
    const result = await sandbox.invoke(["update", "--mem-bw-schema", "L3:0=f", container.id]);
    expectRefusal(result, IS_RUNTS ? '--mem-bw-schema: must start with "MB:"' : undefined);
  },
  { crun: ANY_SCHEMA },
);

/**
 * A directory tree that stands for resctrl, which few machines have. The runtime runs in a mount namespace of its own, whose mount
 * table has one more line with the tree. The kernel would put control files into new directories, and nothing does so here: so all
 * groups exist beforehand, and plain files collect what is written.
 */
class FakeResctrl {
  readonly root: string;
  readonly wrapper: readonly string[];

  constructor(sandbox: Sandbox) {
    this.root = sandbox.path("resctrl");
    this.addClass("");
    const line = `9999 1 0:99 / ${this.root} rw - resctrl resctrl rw`;
    const script = [
      `(echo "${line}"; cat /proc/$$/mountinfo) > "$0/mountinfo.$$"`,
      'mount --bind "$0/mountinfo.$$" /proc/$$/mountinfo',
      'exec "$@"',
    ].join(" && ");
    this.wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, sandbox.directory];
  }

  addClass(name: string, schemata = ""): void {
    mkdirSync(join(this.root, name, "mon_groups"), { recursive: true });
    writeFileSync(join(this.root, name, "tasks"), "");
    writeFileSync(join(this.root, name, "schemata"), schemata);
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), "utf8");
  }

  /** All groups, and all files with their content. */
  contents(): readonly string[] {
    const paths = readdirSync(this.root, { recursive: true, encoding: "utf8" }).sort();
    return paths.map((path) =>
      statSync(join(this.root, path)).isFile() ? `${path}: ${this.read(path)}` : path,
    );
  }
}

function withFakeResctrl(
  sandbox: Sandbox,
  intelRdt: NonNullable<Linux["intelRdt"]>,
): { resctrl: FakeResctrl; container: Container } {
  const container = sandbox.shell("sleep 1000", (config) => {
    config.linux.intelRdt = intelRdt;
  });
  return { resctrl: new FakeResctrl(sandbox), container };
}

spec(
  "intelRdt with closID alone: the pid is in its tasks, its limits stay, and delete keeps it",
  `${CLAUSE}: MUST write the process ID, MUST assign to this closID, MUST NOT remove`,
  async (sandbox) => {
    const { resctrl, container } = withFakeResctrl(sandbox, { closID: "gold" });
    resctrl.addClass("gold", "L3:0=f\n");
    await container.created({ wrapper: resctrl.wrapper });
    expect(resctrl.read("gold/tasks")).toBe(String((await container.state()).pid));
    expect(resctrl.read("gold/schemata")).toBe("L3:0=f\n");
    await container.delete("--force");
    expect(readdirSync(join(resctrl.root, "gold")).sort()).toEqual(["mon_groups", "schemata", "tasks"]);
  },
  { both: RESCTRL_NOT_FOUND },
);

spec(
  "intelRdt with closID /: the pid is in the root's tasks",
  `${CLAUSE}: closID /`,
  async (sandbox) => {
    const { resctrl, container } = withFakeResctrl(sandbox, { closID: "/" });
    await container.created({ wrapper: resctrl.wrapper });
    expect(resctrl.read("tasks")).toBe(String((await container.state()).pid));
  },
  { both: RESCTRL_NOT_FOUND },
);

spec(
  "intelRdt without closID: a group named by the container's id, with the values in order",
  `${CLAUSE}: l3CacheSchema first, memBwSchema, schemata last`,
  async (sandbox) => {
    const values = { l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20", schemata: ["L2:0=1", "L2:1=3"] };
    const { resctrl, container } = withFakeResctrl(sandbox, values);
    resctrl.addClass(container.id);
    await container.created({ wrapper: resctrl.wrapper });
    expect(resctrl.read(`${container.id}/schemata`)).toBe("L3:0=f\nMB:0=20\nL2:0=1\nL2:1=3\n");
    expect(resctrl.read(`${container.id}/tasks`)).toBe(String((await container.state()).pid));
    expect(resctrl.read("schemata")).toBe("");
  },
  { both: RESCTRL_NOT_FOUND },
);

const changeDeviations = byCase({
  runc: IGNORED_WITHOUT_RESCTRL,
  cases: ["closID alone, no such class", "a monitoring group that exists"],
});

for (const [situation, intelRdt, pointer] of [
  ["closID alone, no such class", { closID: "none" }, "closID"],
  ["closID with another l3CacheSchema", { closID: "gold", l3CacheSchema: "L3:0=3" }, "l3CacheSchema"],
  ["closID with another memBwSchema", { closID: "gold", memBwSchema: "MB:0=50" }, "memBwSchema"],
  ["a monitoring group that exists", { closID: "gold", enableMonitoring: true }, "enableMonitoring"],
] as const) {
  spec(
    `intelRdt, ${situation}: error, nothing is changed`,
    `${CLAUSE}: MUST generate an error`,
    async (sandbox) => {
      const { resctrl, container } = withFakeResctrl(sandbox, intelRdt);
      resctrl.addClass("gold", "L3:0=f\nMB:0=20\n");
      resctrl.addClass(`gold/mon_groups/${container.id}`);
      const words = IS_RUNTS ? `runts: /linux/intelRdt/${pointer}: ` : undefined;
      expectRefusal(await container.create({ wrapper: resctrl.wrapper }), words);
      expect(resctrl.read("gold/tasks")).toBe("");
      expect(resctrl.read("gold/schemata")).toBe("L3:0=f\nMB:0=20\n");
      expect(readdirSync(resctrl.root).sort()).toEqual(["gold", "mon_groups", "schemata", "tasks"]);
      expect(await sandbox.traces()).toEqual([]);
    },
    changeDeviations(situation),
  );
}

spec(
  "intelRdt with closID and the same limits as its class: accepted",
  `${CLAUSE}: MUST compare with the schemata file`,
  async (sandbox) => {
    const { resctrl, container } = withFakeResctrl(sandbox, { closID: "gold", l3CacheSchema: "L3:1=ff;0=f" });
    resctrl.addClass("gold", "    MB:0= 20\n    L3:0=00f;1=0ff\n");
    await container.created({ wrapper: resctrl.wrapper });
    expect(resctrl.read("gold/tasks")).toBe(String((await container.state()).pid));
  },
  { both: RESCTRL_NOT_FOUND },
);

spec(
  "intelRdt, a class or monitoring group that can't be used: error, new groups are removed",
  `${CLAUSE}: MUST return an error`,
  async (sandbox) => {
    for (const intelRdt of [
      {},
      { closID: "new", schemata: ["L3:0=f"] },
      { closID: "/", enableMonitoring: true },
    ]) {
      const { resctrl, container } = withFakeResctrl(sandbox, intelRdt);
      // New directories have no control files here, so that neither limits nor processes can be written.
      expectRefusal(
        await container.create({ wrapper: resctrl.wrapper }),
        IS_RUNTS ? "/linux/intelRdt" : undefined,
      );
      expect(readdirSync(resctrl.root).sort()).toEqual(["mon_groups", "schemata", "tasks"]);
      expect(readdirSync(join(resctrl.root, "mon_groups"))).toEqual([]);
    }
    expect(await sandbox.traces()).toEqual([]);
  },
  { runc: IGNORED_WITHOUT_RESCTRL },
);

spec(
  "exec, a container with intelRdt: the process joins its group",
  "practice of runc",
  async (sandbox) => {
    const { resctrl, container } = withFakeResctrl(sandbox, { closID: "gold" });
    resctrl.addClass("gold");
    await container.started({ wrapper: resctrl.wrapper });
    const before = resctrl.read("gold/tasks");
    const pidFile = sandbox.path("exec.pid");
    expect((await container.exec(["true"], { flags: ["--pid-file", pidFile] })).code).toBe(0);
    expect(resctrl.read("gold/tasks")).toBe(before + readFileSync(pidFile, "utf8"));
  },
  { both: RESCTRL_NOT_FOUND },
);

spec(
  "update --l3-cache-schema and --mem-bw-schema: written to the container's group, the cache schema first",
  "practice of runc and crun",
  async (sandbox) => {
    const { resctrl, container } = withFakeResctrl(sandbox, { closID: "gold" });
    resctrl.addClass("gold");
    await container.started({ wrapper: resctrl.wrapper });
    const options = ["--mem-bw-schema", "MB:0=20", "--l3-cache-schema", "L3:0=f"];
    const { wrapper } = resctrl;
    const result = await sandbox.invoke(["update", ...options, container.id], { wrapper });
    expect(result.stderr).toBe("");
    expect(resctrl.read("gold/schemata")).toBe("L3:0=f\nMB:0=20\n");
  },
  { both: RESCTRL_NOT_FOUND },
);
