import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { DEFAULT_PATH } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { explained } from "../harness/explain/explain.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const OTHER_LINES = "the lines of --debug have another form and other content";

const PRACTICE = "practice of runc and crun";
const PROMISE = "promise: --debug logs each step, with the property that asks for it";

const LINE = /^time="[^"]+" level=debug msg="/;

const bothStreams = (sandbox: Sandbox): Container => sandbox.shell("echo to out; echo to err >&2; exit 3");

spec(
  "run --debug --log: steps in the log, the program's streams and exit code unchanged",
  PRACTICE,
  async (sandbox) => {
    const log = sandbox.path("log");
    const result = await bothStreams(sandbox).run({ globals: ["--debug", "--log", log] });
    expect(result).toEqual({ code: 3, stdout: "to out\n", stderr: "to err\n" });
    const lines = readFileSync(log, "utf8").trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) expect(line).toMatch(LINE);
  },
  { crun: OTHER_LINES },
);

spec(
  "run --debug without --log: steps on stderr, none on stdout",
  PRACTICE,
  async (sandbox) => {
    const { code, stdout, stderr } = await bothStreams(sandbox).run({ globals: ["--debug"] });
    expect([code, stdout]).toEqual([3, "to out\n"]);
    const others = stderr.split("\n").filter((line) => !LINE.test(line));
    expect(others).toEqual(["to err", ""]);
    expect(stderr).toMatch(LINE);
  },
  { crun: OTHER_LINES },
);

spec(
  "run --debug --log-format json: each line an object of level debug",
  PRACTICE,
  async (sandbox) => {
    const log = sandbox.path("log");
    await sandbox.shell("true").output({ globals: ["--debug", "--log", log, "--log-format", "json"] });
    const entries = readFileSync(log, "utf8").trimEnd().split("\n").map(parseObject);
    expect(entries.length).toBeGreaterThan(10);
    for (const { level, msg, time } of entries) {
      expect([level, typeof msg]).toEqual(["debug", "string"]);
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
    }
  },
  { crun: { reason: "writes an entry of the JSON log on several lines", from: "1.28" } },
);

spec("run without --debug: no steps in the log or on stderr", PRACTICE, async (sandbox) => {
  const log = sandbox.path("log");
  const { stderr } = await bothStreams(sandbox).run({ globals: ["--log", log] });
  expect(stderr).toBe("to err\n");
  expect(existsSync(log) ? readFileSync(log, "utf8") : "").not.toContain("debug");
});

interface Entry {
  readonly level: string;
  readonly msg: string;
  readonly pointer?: string;
}

/** Runs a command with the global options that it is given, and returns its log. */
async function logged(
  sandbox: Sandbox,
  how: (globals: readonly string[]) => Promise<unknown>,
): Promise<Entry[]> {
  const log = sandbox.path("steps");
  writeFileSync(log, "");
  await how(["--debug", "--log", log, "--log-format", "json"]);
  return readFileSync(log, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => {
      const { level, msg, pointer } = parseObject(line);
      return {
        level: String(level),
        msg: String(msg),
        ...(pointer !== undefined && { pointer: String(pointer) }),
      };
    });
}

const entry = (msg: string, pointer?: string) =>
  expect.objectContaining({ level: "debug", msg, ...(pointer !== undefined && { pointer }) });

if (IS_RUNTS) {
  spec(
    "run --debug: the steps of init are those of explain, with their properties",
    PROMISE,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.process.args = ["true"];
      });
      const own = new Set(["copy", "load", "set-channel", "store", "await"]);
      const { operations } = await explained(sandbox, container);
      const expected = operations
        .filter(({ by, call }) => by === "init" && !own.has(call))
        .map(({ purpose, pointer }) => `${purpose} ${pointer}`);
      const entries = await logged(sandbox, (globals) => container.run({ globals }));
      const steps = entries.flatMap(({ msg, pointer = "" }) => {
        const [, purpose] =
          /^init(?:, on its own)?: (.*?)(?:: \w+: [^:]*, which is not an error)?$/.exec(msg) ?? [];
        return purpose === undefined ? [] : [`${purpose} ${pointer}`];
      });
      expect(new Set(steps)).toEqual(new Set(expected));
      expect(steps.findIndex((step) => step.endsWith(" /mounts/1"))).toBeGreaterThan(
        steps.findIndex((step) => step.endsWith(" /mounts/0")),
      );
    },
  );

  spec("create, start, exec, kill, delete --debug: logs the steps of each", PROMISE, async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    const { id, bundle } = container;
    const steps = (...args: string[]) => logged(sandbox, (globals) => sandbox.invoke([...globals, ...args]));
    const cgroup = "/linux/cgroupsPath";
    const created = await steps("create", "--bundle", bundle, "--pid-file", sandbox.path("pid"), id);
    expect(created).toContainEqual(entry(`runtime: make the cgroup /${id}`, cgroup));
    expect(created).toContainEqual(entry("init: mount proc on /proc", "/mounts/0"));
    expect(created).toContainEqual(entry("runtime: write the pid file"));
    expect(created.at(-1)).toEqual(entry(`create ${id}: exit code 0`));
    expect(await steps("start", id)).toContainEqual(entry("runtime: let init go on"));
    const { pid } = await container.state();
    const executed = await steps("exec", "--user", "1000", id, "true");
    expect(executed).toContainEqual(entry("stub: join the container's namespaces"));
    expect(executed).toContainEqual(entry("process: set the user", "/process/user/uid"));
    expect(executed).toContainEqual(entry('process, on its own: exec: "true"', "/process/args/0"));
    expect(await steps("kill", id, "KILL")).toContainEqual(entry(`runtime: send SIGKILL to process ${pid}`));
    await container.until("stopped");
    const deleted = await steps("delete", id);
    expect(deleted).toContainEqual(entry(`runtime: remove the cgroup /${id}`, cgroup));
    expect(deleted).toContainEqual(entry("runtime: remove the container's directory"));
  });

  spec("run --debug with hooks: the steps of each carry its property", PROMISE, async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["true"];
      config.hooks = { createRuntime: [{ path: "/bin/true" }], startContainer: [{ path: "/bin/true" }] };
    });
    const entries = await logged(sandbox, (globals) => container.run({ globals }));
    for (const kind of ["createRuntime", "startContainer"]) {
      const pointer = `/hooks/${kind}/0`;
      expect(entries.filter(({ msg }) => msg.startsWith(`${kind} hook 0`)).length).toBeGreaterThan(3);
      for (const { msg, pointer: asked } of entries)
        expect([msg, asked === pointer]).toEqual([
          msg,
          asked === pointer || msg.startsWith(`${kind} hook 0`),
        ]);
    }
    expect(entries).toContainEqual(entry("init: mount proc on /proc", "/mounts/0"));
  });

  for (const format of ["text", "json"]) {
    spec(
      `run --debug --log-format ${format}, a mount fails: the log has the failed step, then one error, and no stack`,
      PROMISE,
      async (sandbox) => {
        const container = sandbox.container((config) => {
          config.mounts.push({ destination: "/mnt", type: "nosuchfs", source: "x" });
        });
        const pointer = `/mounts/${container.config.mounts.length - 1}`;
        const log = sandbox.path("log");
        const result = await container.run({ globals: ["--debug", "--log", log, "--log-format", format] });
        expectRefusal(result, /^runts: [^\n]*nosuchfs[^\n]*\n$/);
        const lines = readFileSync(log, "utf8").trimEnd().split("\n");
        const failed = "init: mount nosuchfs on /mnt: fsopen: no such device";
        const step = lines.findIndex((line) => line.includes(failed));
        expect(lines[step]).toContain("debug");
        expect(lines[step]).toContain(format === "text" ? ` pointer=${pointer}` : `"pointer":"${pointer}"`);
        // The log ends with the clean-up steps, and the error.
        expect(lines.slice(step).join("\n")).toContain("runtime: remove the cgroup");
        const errors = lines.filter((line) => /level=error|"level":"error"/.test(line));
        expect(errors).toEqual([lines.at(-1)]);
        expect(lines.join("\n")).not.toMatch(/^\s+at /m);
      },
    );
  }

  spec("--debug: no environment value, argument or mount data in the log", PROMISE, async (sandbox) => {
    const secret = (name: string) => `s3cret-${name}`;
    const container = sandbox.shell(`: ${secret("argument")}; sleep 1000`, (config) => {
      config.process.env = [DEFAULT_PATH, `A=${secret("variable")}`];
      config.mounts.push({
        destination: "/mnt",
        type: "tmpfs",
        source: secret("source"),
        options: ["mode=700", "size=1m"],
      });
      config.annotations = { a: secret("annotation") };
      config.hooks = {
        createRuntime: [
          { path: "/bin/true", args: ["true", secret("hook")], env: [`B=${secret("hook's")}`] },
        ],
        startContainer: [
          { path: "/bin/true", args: ["true", secret("hook")], env: [`B=${secret("hook's")}`] },
        ],
      };
    });
    const { id, bundle } = container;
    const file = sandbox.path("process.json");
    const args = ["true", secret("file")];
    const env = [DEFAULT_PATH, `C=${secret("file's")}`];
    writeFileSync(file, JSON.stringify({ args, env, cwd: "/", user: { uid: 0, gid: 0 } }));
    for (const words of [
      ["create", "--bundle", bundle, id],
      ["start", id],
      ["exec", "--env", `D=${secret("exec's")}`, id, "true", secret("exec")],
      ["exec", "--process", file, id],
      ["delete", "--force", id],
    ]) {
      const entries = await logged(sandbox, (globals) => sandbox.invoke([...globals, ...words]));
      expect(entries.at(-1)?.msg).toMatch(/exit code 0$/);
      expect(JSON.stringify(entries)).not.toContain("s3cret");
    }
  });

  spec(
    "create --debug with --profile: the log names the profile, which has the steps",
    PROMISE,
    async (sandbox) => {
      const container = sandbox.container();
      const file = sandbox.path("profile");
      const entries = await logged(sandbox, (globals) =>
        container.created({ globals, flags: ["--profile", file] }),
      );
      expect(entries).toContainEqual(entry(`create ${container.id}: its steps are in the profile ${file}`));
    },
  );
}
