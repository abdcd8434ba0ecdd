import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { hostControllers, NO_HUGETLB } from "../harness/host/host-controllers.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const WRONG_TYPES_PASS = "takes values of a wrong type as absent, or converts them";
const FLAGS_UNCHECKED =
  "makes JSON of the flags without checking their values, and reports errors of that JSON";

const CLAUSE = "practice of runc and crun";
const ENGINES = "engines: containerd";
const PROMISE = "promise: errors name the flag or the JSON pointer";
const CONTROLLERS = hostControllers();
const LIMIT = 4_194_304;
const UNIFIED = { unified: { "hugetlb.2MB.max": String(LIMIT) } };
const HUGEPAGES = { hugepageLimits: [{ pageSize: "2MB", limit: LIMIT }] };

/** `update --resources` with a file of this text. */
function updateFrom(sandbox: Sandbox, { id }: Container, text: string): Promise<Result> {
  const file = sandbox.path("resources.json");
  writeFileSync(file, text);
  return sandbox.invoke(["update", "--resources", file, id]);
}

function update(sandbox: Sandbox, container: Container, resources: object): Promise<Result> {
  return updateFrom(sandbox, container, JSON.stringify(resources));
}

async function sleeping(sandbox: Sandbox, mutate?: (config: Config) => void): Promise<Container> {
  const container = sandbox.shell("exec sleep 999", mutate);
  await container.started();
  return container;
}

function hugepageLimit({ id }: Container): number {
  return Number(readFileSync(`/sys/fs/cgroup/${id}/hugetlb.2MB.max`, "utf8"));
}

spec(
  "update --resources with hugepageLimits: the limit holds",
  CLAUSE,
  async (sandbox, context) => {
    if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
    const container = await sleeping(sandbox);
    expect(hugepageLimit(container)).toBeGreaterThan(LIMIT);
    succeed("update", await update(sandbox, container, HUGEPAGES));
    expect(hugepageLimit(container)).toBe(LIMIT);
  },
  { runc: "update ignores hugepageLimits and devices" },
);

spec("update --resources with unified: the limit holds", CLAUSE, async (sandbox, context) => {
  if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
  const container = await sleeping(sandbox);
  succeed("update", await update(sandbox, container, UNIFIED));
  expect(hugepageLimit(container)).toBe(LIMIT);
});

spec("update -r -: reads JSON from standard input", ENGINES, async (sandbox, context) => {
  if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
  const container = await sleeping(sandbox);
  const stdin = sandbox.path("stdin.json");
  writeFileSync(stdin, JSON.stringify(UNIFIED));
  succeed("update", await sandbox.invoke(["update", "-r", "-", container.id], { stdin }));
  expect(hugepageLimit(container)).toBe(LIMIT);
});

for (const status of ["created", "paused"] as const) {
  spec(`update, ${status}: the limit holds, the status stays`, CLAUSE, async (sandbox, context) => {
    if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
    const container = sandbox.shell("exec sleep 999");
    await container.created();
    if (status === "paused") {
      succeed("start", await container.start());
      succeed("pause", await sandbox.invoke(["pause", container.id]));
    }
    succeed("update", await update(sandbox, container, UNIFIED));
    expect(hugepageLimit(container)).toBe(LIMIT);
    expect((await container.state()).status).toBe(status);
  });
}

const emptyDeviations = byCase({
  crun: "an empty blockIO needs the io controller",
  cases: ['{"memory":{},"cpu":{},"pids":{},"blockIO":{}}'],
});

for (const nothing of [
  {},
  { memory: {}, cpu: {}, pids: {}, blockIO: {} },
  { cpu: { shares: 0, quota: 0, period: 0 } },
]) {
  spec(
    `update --resources ${JSON.stringify(nothing)}: no change, so no error`,
    ENGINES,
    async (sandbox) => {
      const container = await sleeping(sandbox);
      expect(await update(sandbox, container, nothing)).toEqual({ code: 0, stdout: "", stderr: "" });
    },
    emptyDeviations(JSON.stringify(nothing)),
  );
}

spec("update, then exec: the process runs as before", CLAUSE, async (sandbox, context) => {
  if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
  const container = await sleeping(sandbox);
  succeed("update", await update(sandbox, container, UNIFIED));
  expect(succeed("exec", await container.exec(["sh", "-c", "id -u; pwd"])).stdout).toBe("0\n/\n");
});

for (const [controller, flags, name] of [
  ["memory", ["--memory", "64m"], "--memory"],
  ["memory", ["--memory=64m", "--memory-swap=128m"], "--memory-swap"],
  ["memory", ["--memory-reservation", "64m"], "--memory-reservation"],
  ["pids", ["--pids-limit", "100"], "--pids-limit"],
  ["cpu", ["--cpu-quota", "50000"], "--cpu-quota"],
  ["cpu", ["--cpu-share", "512"], "--cpu-share"],
  ["cpu", ["--cpu-idle", "1"], "--cpu-idle"],
  ["cpu", ["--cpu-quota=50000", "--cpu-burst=10000"], "--cpu-(burst|quota)"],
  ["cpuset", ["--cpuset-cpus", "0"], "--cpuset-cpus"],
  ["cpuset", ["--cpuset-mems", "0"], "--cpuset-mems"],
  ["io", ["--blkio-weight", "100"], "--blkio-weight"],
] as const) {
  spec(
    `update ${flags.join(" ")}, no such controller: error that names it`,
    PROMISE,
    async (sandbox, context) => {
      if (CONTROLLERS.includes(controller)) context.skip(`this machine has the ${controller} controller`);
      const container = await sleeping(sandbox);
      const result = await sandbox.invoke(["update", ...flags, container.id]);
      expectRefusal(result, new RegExp(controller));
      if (IS_RUNTS) expect(result.stderr).toMatch(new RegExp(`^runts: ${name}: `));
      expect((await container.state()).status).toBe("running");
    },
  );
}

spec(
  "update --resources with pids, no such controller: error with the pointer",
  PROMISE,
  async (sandbox, context) => {
    if (CONTROLLERS.includes("pids")) context.skip("this machine has the pids controller");
    const container = await sleeping(sandbox);
    const result = await update(sandbox, container, { pids: { limit: 100 } });
    expectRefusal(result, /pids/);
    if (IS_RUNTS) expect(result.stderr).toContain("resources.json: /pids/limit: ");
  },
);

const ALL_OR_NOTHING = "promise: an update is applied whole or not at all";

spec(
  "update, the last value is refused: the first is as before, for later updates too",
  ALL_OR_NOTHING,
  async (sandbox, context) => {
    if (!CONTROLLERS.includes("hugetlb")) context.skip(NO_HUGETLB);
    const container = await sleeping(sandbox, (config) => {
      config.linux.resources = HUGEPAGES;
    });
    const both = { unified: { "hugetlb.2MB.max": "0", "hugetlb.2MB.rsvd.max": "many" } };
    const result = await update(sandbox, container, both);
    expectRefusal(result, "rsvd.max");
    if (IS_RUNTS) expect(result.stderr).not.toContain("could not be restored");
    expect(hugepageLimit(container)).toBe(LIMIT);
    succeed("update", await update(sandbox, container, {}));
    expect(hugepageLimit(container)).toBe(LIMIT);
  },
  {
    crun: "a refused value leaves the update half applied",
    runc: {
      reason: "a refused value may leave the update half applied, since unified has no order",
      sometimes: true,
    },
  },
);

const typeDeviations = byCase({
  crun: WRONG_TYPES_PASS,
  cases: ['"[]"', '"{\\"memory\\":\\n{\\"limit\\":\\"64m\\"}}"'],
});

for (const [text, pointer] of [
  ["", "resources.json: line 1, column 1: not valid JSON"],
  ["{", "resources.json: line 1, column 2: not valid JSON"],
  ["[]", "resources.json: line 1: must be an object"],
  ['{"memory":\n{"limit":"64m"}}', "line 2: /memory/limit: must be an integer"],
  ['{"memory":{"limit":67108864,\n"swap":1024}}', "line 2: /memory/swap: must not be below"],
  ['{"blockIO":{"weight":5}}', "/blockIO/weight: must be from 10 to 1000"],
] as const) {
  spec(
    `update --resources ${JSON.stringify(text)}: error`,
    PROMISE,
    async (sandbox) => {
      const container = await sleeping(sandbox);
      const result = await updateFrom(sandbox, container, text);
      expectRefusal(result, inOurWords(pointer));
    },
    typeDeviations(JSON.stringify(text)),
  );
}

spec("update --resources, a missing file: error", CLAUSE, async (sandbox) => {
  const container = await sleeping(sandbox);
  const result = await sandbox.invoke(["update", "--resources", sandbox.path("none"), container.id]);
  expectRefusal(result, /no such file/i);
});

const flagDeviations = byCase(
  { crun: FLAGS_UNCHECKED, cases: ["--cpu-quota much", "--pids-limit 1.5"] },
  { crun: WRONG_TYPES_PASS, cases: ["--cpu-period -1"] },
);

for (const flags of [
  ["--memory", "64q"],
  ["--cpu-quota", "much"],
  ["--pids-limit", "1.5"],
  ["--cpu-period", "-1"],
] as const) {
  spec(
    `update ${flags.join(" ")}: error that names the flag`,
    PROMISE,
    async (sandbox) => {
      const container = await sleeping(sandbox);
      expectRefusal(
        await sandbox.invoke(["update", ...flags, container.id]),
        new RegExp(flags[0].replace(/^--/, "")),
      );
    },
    flagDeviations(flags.join(" ")),
  );
}

spec(
  "update --memory -1 --cpu-quota=-1, no such controllers: no error",
  "promise: without the controller there is no limit anyway",
  async (sandbox, context) => {
    if (CONTROLLERS.includes("memory")) context.skip("this machine has the memory controller");
    const container = await sleeping(sandbox);
    succeed("update", await sandbox.invoke(["update", "--memory", "-1", "--cpu-quota=-1", container.id]));
  },
  { both: "writes unlimited too, which needs the controller" },
);

for (const flag of ["--cpu-rt-period", "--cpu-rt-runtime"]) {
  spec(
    `update ${flag}, which only cgroup v1 has: error that names it`,
    PROMISE,
    async (sandbox) => {
      const container = await sleeping(sandbox);
      const result = await sandbox.invoke(["update", flag, "100000", container.id]);
      expectRefusal(result, inOurWords(`${flag}: exists in cgroup v1 only`));
    },
    { runc: "ignores properties that only cgroup v1 has" },
  );
}

spec(
  "update --kernel-memory-tcp: a warning, no effect",
  "practice of runc",
  async (sandbox) => {
    const container = await sleeping(sandbox);
    const result = succeed(
      "update",
      await sandbox.invoke(["update", "--kernel-memory-tcp", "64m", container.id]),
    );
    expect(result.stderr).toMatch(/level=warning.*kernel memory/i);
  },
  { crun: FLAGS_UNCHECKED },
);

spec(
  "update --kernel-memory: a warning, no effect",
  "practice of runc",
  async (sandbox) => {
    const container = await sleeping(sandbox);
    const result = succeed(
      "update",
      await sandbox.invoke(["update", "--kernel-memory", "64m", container.id]),
    );
    expect(result.stderr).toMatch(/level=warning.*kernel memory/i);
  },
  { crun: FLAGS_UNCHECKED },
);

spec(
  "update, unknown id: error in the words that engines match",
  "engines",
  async (sandbox) => {
    expectRefusal(
      await sandbox.invoke(["update", "--pids-limit", "5", "nobody"]),
      "container does not exist",
    );
  },
  { crun: "words the same errors differently" },
);

spec(
  "update, stopped: error in runc's words",
  "practice of runc",
  async (sandbox) => {
    const container = sandbox.container();
    await container.started();
    await container.until("stopped");
    expectRefusal(await update(sandbox, container, {}), "container not running");
  },
  { crun: "updates a stopped container" },
);

const OPEN_NODE = ["sh", "-c", "dd if=/dev/node bs=1 count=0 2>&1 || true"];
const NODE = { type: "c", major: 10, minor: 229 };
const DENY_ALL = { allow: false, access: "rwm" };
const ALLOW_NODE = { allow: true, ...NODE, access: "rw" };

/** A container with a node with /dev/fuse's numbers, and these rules. Without that driver, an allowed open fails with ENXIO. */
async function withNode(sandbox: Sandbox, devices: object[]) {
  const container = await sleeping(sandbox, (config) => {
    config.linux.devices = [{ ...NODE, path: "/dev/node" }];
    config.linux.resources = { devices };
  });
  const isDenied = async () =>
    /Operation not permitted/.test(succeed("exec", await container.exec(OPEN_NODE)).stdout);
  return { container, isDenied };
}

spec(
  "update --resources with devices: the rules are replaced",
  "practice of crun",
  async (sandbox) => {
    const { container, isDenied } = await withNode(sandbox, [DENY_ALL]);
    expect(await isDenied()).toBe(true);
    succeed("update", await update(sandbox, container, { devices: [DENY_ALL, ALLOW_NODE] }));
    expect(await isDenied()).toBe(false);
    succeed("update", await update(sandbox, container, { devices: [DENY_ALL] }));
    expect(await isDenied()).toBe(true);
  },
  { runc: "update ignores hugepageLimits and devices" },
);

spec(
  "update --resources with a device of empty access: refused, and the rules stay",
  "practice of runc",
  async (sandbox) => {
    const { container, isDenied } = await withNode(sandbox, [DENY_ALL]);
    const result = await update(sandbox, container, { devices: [DENY_ALL, { ...ALLOW_NODE, access: "" }] });
    expectRefusal(result, inOurWords("/devices/1/access"));
    expect(await isDenied()).toBe(true);
  },
  {
    crun: "a device rule without access allows nothing, and denies nothing",
    runc: "update ignores hugepageLimits and devices",
  },
);

/** Opens the node without forks, often enough to notice a gap between two device programs. */
const WATCH =
  "n=0; echo watching; while [ ! -e /tmp/stop ]; do n=$((n+1)); true < /dev/node || echo shut; true > /dev/node && echo open; done 2>/dev/null; echo end";

spec(
  "update --resources with devices, over and over: at any time, only what both lists allow can be opened",
  "promise: replaced atomically on update",
  async (sandbox) => {
    // The numbers of /dev/kmsg, which every host has: the rules allow reading and deny writing.
    const node = { type: "c", major: 1, minor: 11 };
    const allow = { allow: true, ...node, access: "r" };
    const container = sandbox.shell(WATCH, (config) => {
      config.root.readonly = false;
      const capabilities = ["CAP_SYSLOG"];
      config.process.capabilities = {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
      };
      config.linux.devices = [{ ...node, path: "/dev/node" }];
      config.linux.resources = { devices: [DENY_ALL, allow] };
    });
    await container.started();
    await expect.poll(() => container.printed()).toBe("watching");
    for (let minor = 1; minor <= 10; minor += 1)
      succeed(
        "update",
        await update(sandbox, container, { devices: [DENY_ALL, { ...allow, minor }, allow] }),
      );
    container.writeFile("tmp/stop", "");
    await container.until("stopped");
    expect(container.printed()).toBe("watching\nend");
  },
);

spec("update --resources without devices: the rules stay", CLAUSE, async (sandbox) => {
  const { container, isDenied } = await withNode(sandbox, [DENY_ALL, ALLOW_NODE]);
  succeed("update", await update(sandbox, container, {}));
  expect(await isDenied()).toBe(false);
});
