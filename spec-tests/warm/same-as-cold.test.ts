import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { COLD, HAS_WARM_START, Installation, WARM, withoutCalls } from "../harness/helpers/installation.ts";
import {
  differences,
  EXIT_CODE,
  normalised,
  SHOW_SURROUNDINGS,
  type Surroundings,
  surroundingsUnder,
} from "../harness/host/surroundings.ts";
import { parseObject } from "../harness/json.ts";
import type { Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: warm start";
const SHOW = ["sh", "-c", SHOW_SURROUNDINGS];
const STARTS = [WARM, COLD] as const;
const ON_TERMINAL = ["python3", join(import.meta.dirname, "../harness/helpers/on-terminal.py")];
const PIDS = /^(status (?:Tgid|Pid|NS\w+)):.*/;

/** Callers of the runtime. The start of the last one turns cold at nearly the last moment. */
const CALLERS: Readonly<Record<string, (sandbox: Sandbox) => readonly string[]>> = {
  "the usual caller": () => [],
  "an odd caller": (sandbox) => {
    const folder = sandbox.path("cwd");
    mkdirSync(folder, { recursive: true });
    return ["python3", join(import.meta.dirname, "../harness/helpers/odd-caller.py"), folder];
  },
  "a caller whose filter refuses rseq": () => withoutCalls("rseq"),
};

/** Commands that have to give the same results after both starts. */
const COMMANDS: readonly (readonly string[])[] = [
  ["--help"],
  ["--version"],
  ["checkpoint", "--help"],
  ["completion", "bash"],
  ["completion", "zsh"],
  ["devices", "list", "ID"],
  ["doctor"],
  ["events", "--stats", "ID"],
  ["exec", "--help"],
  ["explain", "create", "--bundle", "BUNDLE", "other"],
  ["explain", "--json", "run", "--bundle", "BUNDLE", "other"],
  ["features"],
  ["kill", "ID", "NOSUCH"],
  ["list"],
  ["list", "--format", "json"],
  ["man"],
  ["man", "run"],
  ["nosuch"],
  ["ps", "ID"],
  ["ps", "--format", "json", "ID"],
  ["state", "ID"],
  ["state", "nobody"],
  ["validate", "BUNDLE"],
  ["wait", "nobody"],
];

/** The result without lines that say how it was started, and without counters, which go up. */
function steady({ code, stdout, stderr }: Result, command: readonly string[]): Result {
  const text = command[0] === "events" ? stdout.replaceAll(/\d+/g, "N") : stdout;
  const lines = command[0] === "doctor" ? text.split("\n").filter((line) => !/warm|cold/.test(line)) : [text];
  return { code, stdout: lines.join("\n"), stderr };
}

describe.runIf(HAS_WARM_START)("warm as cold", () => {
  let installation: Installation;
  beforeAll(() => {
    installation = new Installation();
    installation.warm();
  });
  afterAll(() => installation.remove());

  async function expectSameSurroundings(look: (env: Record<string, string>) => Promise<Surroundings>) {
    const [warm, cold] = [await look(WARM), await look(COLD)];
    expect([warm.stderr, cold.stderr]).toEqual(["", ""]);
    expect([warm.code, cold.code]).toEqual([EXIT_CODE, EXIT_CODE]);
    expect(warm.lines.length).toBeGreaterThan(100);
    expect(differences(warm, cold)).toEqual([]);
  }

  for (const [name, wrapperOf] of Object.entries(CALLERS)) {
    for (const terminal of [false, true]) {
      const suffix = terminal ? ", with a terminal" : "";

      spec(
        `run${suffix}, by ${name}: a program sees the same after a warm and a cold start`,
        CLAUSE,
        async (sandbox) => {
          const container = sandbox.container((config) => {
            config.process.args = SHOW;
            config.process.terminal = terminal;
          });
          const wrapper = wrapperOf(sandbox);
          await expectSameSurroundings((env) =>
            surroundingsUnder(installation.runtime, sandbox, container, { wrapper, terminal, env }),
          );
        },
      );

      spec(
        `exec${suffix}, by ${name}: a program sees the same after a warm and a cold start`,
        CLAUSE,
        async (sandbox) => {
          const container = await running(sandbox);
          const wrapper = [...(terminal ? ON_TERMINAL : []), ...wrapperOf(sandbox)];
          const flags = terminal ? ["--tty"] : [];
          await expectSameSurroundings(async (env) => {
            const given = { runtime: installation.runtime, wrapper, flags, env };
            const { code, stdout, stderr } = await container.exec(SHOW, given);
            // Each process of the container has the next pid.
            const lines = normalised(stdout, sandbox, container).map((line) => line.replace(PIDS, "$1: N"));
            return { code, stderr, lines };
          });
        },
      );
    }
  }

  spec("run, hooks: they get the same after a warm and a cold start", CLAUSE, async (sandbox) => {
    const show = "cat; env | sort; pwd; umask; ulimit -a; ls -l /proc/$$/fd; grep ^Sig[^Q] /proc/$$/status";
    const container = sandbox.shell("true", (config) => {
      config.hooks = {};
      for (const name of ["prestart", "createRuntime", "poststart", "poststop"] as const)
        config.hooks[name] = [
          { path: "/bin/sh", args: ["sh", "-c", `(${show}) >> ${sandbox.path("seen")} 2>&1`] },
        ];
    });
    const seen: string[] = [];
    for (const start of STARTS) {
      const env = { HOME: "/root", XDG_RUNTIME_DIR: "/run/x", USER: "caller", SECRET: "s", ...start };
      const { code, stderr } = await container.run({ runtime: installation.runtime, env });
      expect([code, stderr]).toEqual([0, ""]);
      const text = readFileSync(sandbox.path("seen"), "utf8").slice(seen.join("").length);
      seen.push(text);
    }
    const [warm, cold] = seen.map((text) =>
      text.replaceAll(/"pid":\d+|pipe:\[\d+\]|call-\d+|\d\d:\d\d|\/proc\/\d+|^RUNTS_COLD=.*\n/gm, ""),
    );
    expect(warm?.length).toBeGreaterThan(1000);
    expect(warm).toBe(cold);
  });

  spec(
    "create: state.json and the pid file are the same after a warm and a cold start",
    CLAUSE,
    async (sandbox) => {
      const records: Record<string, unknown>[] = [];
      for (const start of STARTS) {
        const container: Container = sandbox.shell("sleep 100");
        const pidFile = sandbox.path(`pid-${start.RUNTS_COLD}`);
        const flags = ["--pid-file", pidFile];
        await container.created({ runtime: installation.runtime, env: start, flags });
        const { pid } = await container.state();
        expect(readFileSync(pidFile, "utf8")).toBe(String(pid));
        const text = readFileSync(join(sandbox.root, container.id, "state.json"), "utf8");
        const record = parseObject(text.replaceAll(container.id, "ID"));
        expect(record.pid).toBe(pid);
        records.push(record);
      }
      const own = { pid: 0, startTime: "", created: "", keyring: "" };
      expect({ ...records[0], ...own }).toEqual({ ...records[1], ...own });
      expect(records[0]?.keyring).not.toBe(records[1]?.keyring);
    },
  );

  spec(
    "create, relative paths: resolved from the caller's directory, wherever that is",
    CLAUSE,
    async (sandbox) => {
      for (const [index, name] of ["first", "second"].entries()) {
        const container: Container = sandbox.shell("sleep 100");
        const cwd = join(container.bundle, name);
        mkdirSync(cwd);
        const words = [
          "--root",
          "../../state",
          "--log",
          "log",
          "create",
          "--pid-file",
          "pid",
          "--bundle",
          "..",
        ];
        const command = [installation.runtime, ...words, container.id];
        const stdout = sandbox.path(`out-${index}`);
        expect(await sandbox.run(command, { cwd, stdout, env: WARM })).toEqual({
          code: 0,
          stdout: "",
          stderr: "",
        });
        const { pid, bundle } = await container.state();
        expect(bundle).toBe(container.bundle);
        expect(readFileSync(join(cwd, "pid"), "utf8")).toBe(String(pid));
        expect(readFileSync(join(cwd, "log"), "utf8")).toBe("");
      }
    },
  );

  spec("any command: the output is the same after a warm and a cold start", CLAUSE, async (sandbox) => {
    const container = await running(sandbox);
    const differ: unknown[] = [];
    for (const words of COMMANDS) {
      const command = words.map((word) =>
        word.replace("ID", container.id).replace("BUNDLE", container.bundle),
      );
      const answers: Result[] = [];
      for (const env of STARTS)
        answers.push(steady(await sandbox.invoke(command, { runtime: installation.runtime, env }), command));
      const [warm, cold] = answers;
      if (JSON.stringify(warm) !== JSON.stringify(cold)) differ.push({ command, warm, cold });
    }
    expect(differ).toEqual([]);
  });
});
