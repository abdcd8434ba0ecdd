import { existsSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { parseObject } from "../harness/json.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const SEVERAL_LINES = {
  reason: "json-c, which writes JSON since 1.28, writes an object of the log on several lines",
  from: "1.28",
};

const CLAUSE = "engines: the last error line of the log is what users see";

spec(
  "--log-format json, create fails: one JSON object with level, msg and time",
  CLAUSE,
  async (sandbox) => {
    const log = sandbox.path("log");
    const container = sandbox.container((config) => {
      config.process.args = ["no-such-program"];
    });
    const result = await container.create({ globals: ["--log", log, "--log-format=json"] });
    expectRefusal(result, inOurWords("/process/args/0: "));
    const lines = readFileSync(log, "utf8").trim().split("\n");
    const last = parseObject(lines.at(-1) ?? "");
    expect(last.level).toBe("error");
    expect(last.msg).toContain('exec: "no-such-program": executable file not found in $PATH');
    expect(last.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/);
  },
  { crun: "words the same errors differently" },
);

spec(
  "--log-format json, create fails: exactly one object in the log",
  "engines: podman's log must hold exactly one",
  async (sandbox) => {
    const log = sandbox.path("log");
    const container = sandbox.container((config) => {
      config.process.args = ["no-such-program"];
    });
    await container.create({ globals: ["--log", log, "--log-format", "json"] });
    expect(readFileSync(log, "utf8").trim().split("\n")).toHaveLength(1);
  },
  {
    crun: SEVERAL_LINES,
    runc: "without the memory controller, a warning about OOM counts precedes the error",
  },
);

spec(
  "--log, create fails: the same text is on stderr too",
  "engines: read the error on stderr too",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["no-such-program"];
    });
    const { stderr } = await container.create({
      globals: ["--log", sandbox.path("log"), "--log-format=json"],
    });
    expect(stderr).toContain("no-such-program");
  },
);

spec("--log, create succeeds: no line of level error", CLAUSE, async (sandbox) => {
  const log = sandbox.path("log");
  await sandbox.container().created({ globals: ["--log", log, "--log-format=json"] });
  expect(existsSync(log) ? readFileSync(log, "utf8") : "").not.toContain('"error"');
});

spec(
  "--log, two failures: the second is appended",
  CLAUSE,
  async (sandbox) => {
    const log = sandbox.path("log");
    for (const id of ["one", "two"]) {
      await sandbox.invoke(["--log", log, "--log-format", "json", "state", `${sandbox.tag}${id}`]);
    }
    expect(readFileSync(log, "utf8").trim().split("\n")).toHaveLength(2);
  },
  { crun: SEVERAL_LINES },
);

spec("--log-format nosuch: error", CLAUSE, async (sandbox) => {
  const result = await sandbox.invoke(["--log", sandbox.path("log"), "--log-format", "nosuch", "list"]);
  expect(result.code).not.toBe(0);
});

spec(
  "-log, -log-format and -bundle with one dash: accepted",
  "engines: options may be given with one dash",
  async (sandbox) => {
    const container = sandbox.container();
    const args = [
      "-log",
      sandbox.path("log"),
      "-log-format",
      "json",
      "create",
      "-bundle",
      container.bundle,
      container.id,
    ];
    expect((await sandbox.invoke(args)).code).toBe(0);
    expect((await container.state()).status).toBe("created");
  },
  { crun: "options have two dashes" },
);
