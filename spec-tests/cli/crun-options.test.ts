import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const UNKNOWN_ID = {
  reason: "reports an unknown id as a file that can't be opened in 1.21",
  before: "1.28",
};

/** Options that crun has, runc lacks, and callers use. */
const CLAUSE = "crun's command line";

for (const command of ["create", "run"] as const) {
  spec(
    `${command} --config: uses that file instead of the bundle's config.json`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("echo theirs");
      const own = { ...container.config.process, args: ["sh", "-c", "echo mine; sleep 1000"] };
      writeFileSync(sandbox.path("own.json"), JSON.stringify({ ...container.config, process: own }));
      const flags = ["--config", "own.json"];
      const options = { flags, cwd: sandbox.directory, stdout: sandbox.path("out") };
      if (command === "create") {
        await container.created(options);
        expect((await container.start()).code).toBe(0);
      } else {
        expect((await container.run({ ...options, flags: ["--detach", ...flags] })).code).toBe(0);
      }
      await expect.poll(() => readFileSync(sandbox.path("out"), "utf8")).toBe("mine\n");
      // Its paths are relative to the bundle, and later commands read it too.
      expect((await container.state()).bundle).toBe(container.bundle);
      expect((await container.exec(["true"])).code).toBe(0);
    },
    { runc: "options of crun" },
  );
}

spec(
  "create --config, a missing file: error that names it, nothing left",
  CLAUSE,
  async (sandbox) => {
    const flags = ["--config", sandbox.path("missing.json")];
    expectRefusal(await sandbox.container().create({ flags }), "missing.json");
    expect(await sandbox.traces()).toEqual([]);
  },
  {
    crun: { reason: "the error names config.json, whatever the file", before: "1.28" },
    runc: "options of crun",
  },
);

spec(
  "create --config, a broken file: error that names line and column, nothing left",
  CLAUSE,
  async (sandbox) => {
    writeFileSync(sandbox.path("broken.json"), "{");
    expectRefusal(
      await sandbox.container().create({ flags: ["--config", sandbox.path("broken.json")] }),
      inOurWords("broken.json: line 1, column 2: not valid JSON"),
    );
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "kill --regex, delete --regex: only the containers that match",
  CLAUSE,
  async (sandbox) => {
    const [one, two, other] = [1, 2, 3].map(() => sandbox.shell("sleep 1000"));
    if (one === undefined || two === undefined || other === undefined) throw new Error("three were made");
    for (const container of [one, two, other]) await container.started();
    const pattern = `^${sandbox.tag}[01]$`;
    expect((await sandbox.invoke(["kill", "--regex", pattern, "KILL"])).code).toBe(0);
    for (const container of [one, two]) await container.until("stopped");
    expect((await other.state()).status).toBe("running");
    expect((await sandbox.invoke(["delete", "--regex", pattern])).code).toBe(0);
    for (const container of [one, two]) expectRefusal(await container.stateCommand(), "does not exist");
    expect((await other.state()).status).toBe("running");
  },
  { crun: UNKNOWN_ID, runc: "options of crun" },
);

spec(
  "delete --regex --force, running: killed and deleted",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.started();
    expect((await sandbox.invoke(["delete", "--force", "--regex", `${sandbox.tag}.*`])).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  { runc: "options of crun" },
);

spec(
  "kill --regex with an invalid regular expression: error",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.started();
    expectRefusal(await sandbox.invoke(["kill", "--regex", "("]), "regular expression");
    expect((await container.state()).status).toBe("running");
  },
  {
    crun: "takes an expression that does not compile for one that matches nothing",
    runc: "options of crun",
  },
);

spec(
  "--cgroup-manager disabled: the container stays in the caller's cgroup",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["cat", "/proc/self/cgroup"];
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "cgroup");
    });
    const result = await container.run({ globals: ["--cgroup-manager", "disabled"] });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const own = /^0::.*$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[0] ?? "none";
    expect(result.stdout).toContain(`${own}\n`);
  },
  { runc: "options of crun" },
);

spec(
  "--cgroup-manager disabled: no cgroup is made, the commands work",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    await container.created({ globals: ["--cgroup-manager=disabled"] });
    expect(existsSync(`/sys/fs/cgroup/${container.id}`)).toBe(false);
    expect((await container.start()).code).toBe(0);
    expect((await container.exec(["true"])).code).toBe(0);
    expect((await container.kill("KILL")).code).toBe(0);
    await container.until("stopped");
    expect((await container.delete()).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  { runc: "options of crun" },
);

spec(
  "--cgroup-manager disabled with limits: error, nothing left",
  "promise: no limit is ignored",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.linux.resources = { pids: { limit: 10 } };
    });
    expectRefusal(await container.create({ globals: ["--cgroup-manager", "disabled"] }), "/linux/resources");
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "ignores limits without a cgroup", runc: "options of crun" },
);

spec("--cgroup-manager with an unknown name: error", CLAUSE, async (sandbox) => {
  expectRefusal(
    await sandbox.invoke(["--cgroup-manager", "nosuch", "list"]),
    inOurWords("invalid cgroup-manager: nosuch"),
  );
});

spec(
  "--log file:PATH: logs to PATH",
  CLAUSE,
  async (sandbox) => {
    const log = sandbox.path("log");
    expectRefusal(
      await sandbox.invoke(["--log", `file:${log}`, "state", `${sandbox.tag}x`]),
      "does not exist",
    );
    expect(readFileSync(log, "utf8")).toContain("does not exist");
  },
  { crun: UNKNOWN_ID, runc: "options of crun" },
);

spec("--log-level with an unknown level: error", CLAUSE, async (sandbox) => {
  expectRefusal(
    await sandbox.invoke(["--log-level", "nosuch", "list"]),
    inOurWords("invalid log-level: nosuch"),
  );
});

spec(
  "spec --file: writes that file, and overwrites it",
  CLAUSE,
  async (sandbox) => {
    mkdirSync(sandbox.path("fresh"));
    for (let round = 0; round < 2; round += 1)
      expect((await sandbox.invoke(["spec", "-f", sandbox.path("fresh/own.json")])).code).toBe(0);
    expect(JSON.parse(readFileSync(sandbox.path("fresh/own.json"), "utf8"))).toHaveProperty("ociVersion");
    expect(existsSync(sandbox.path("fresh/config.json"))).toBe(false);
  },
  { runc: "options of crun" },
);
