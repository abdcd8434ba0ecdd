import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { Container } from "../harness/container.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: no name or output of a container controls a terminal";

/** Sets a window title, sets colours by a C1 control, has a DEL, and changes the order of text. HOSTILE has a line that imitates the runtime. */
const SEQUENCES = "\u001b]0;x\u0007\u009b31m\u007f\u202e\u2066\u061c\u200f\u2028\r";
const HOSTILE = `${SEQUENCES}\nrunts: FORGED`;

/** Text without characters that a terminal or a viewer acts on. */
const HARMLESS = /^[^\p{Cc}\p{Bidi_Control}\u2028\u2029]*$/u;

function expectHarmless(text: string, lines?: number): void {
  const all = text.trimEnd().split("\n");
  for (const line of all) {
    expect(line).toMatch(HARMLESS);
    expect(line).not.toMatch(/^runts: FORGED/);
  }
  if (lines !== undefined) expect(all, text).toHaveLength(lines);
}

/** A running container whose bundle, annotations and mounts have hostile names. */
async function hostile(sandbox: Sandbox): Promise<Container> {
  const plain = sandbox.container((config) => {
    config.process.args = ["sh", "-c", "sleep 1000; true", HOSTILE];
    config.annotations = { [HOSTILE]: HOSTILE };
    config.mounts.push({ destination: `/tmp/${HOSTILE}`, type: "tmpfs", source: HOSTILE });
  });
  mkdirSync(`${plain.rootfs}/tmp/${HOSTILE}`);
  const bundle = sandbox.path(HOSTILE);
  renameSync(plain.bundle, bundle);
  const container = new Container(sandbox, { id: plain.id, bundle, config: plain.config });
  await container.started();
  return container;
}

type Change = (config: Config) => void;

function expectSuccess({ code, stderr }: Result): void {
  expect(stderr).toBe("");
  expect(code).toBe(0);
}

if (IS_RUNTS) {
  spec(
    "state, list and mounts list, hostile names: escaped in JSON, and no line of their own in a table",
    CLAUSE,
    async (sandbox) => {
      const { id, bundle } = await hostile(sandbox);
      const json = async (...args: string[]) => {
        const result = await sandbox.invoke(args);
        expectSuccess(result);
        expectHarmless(result.stdout);
        return JSON.parse(result.stdout);
      };
      const expected = { bundle, annotations: { [HOSTILE]: HOSTILE } };
      expect(await json("state", id)).toMatchObject(expected);
      expect(await json("list", "--format", "json")).toMatchObject([expected]);
      const mounts = await json("mounts", "list", "--format", "json", id);
      expect(mounts).toContainEqual(
        expect.objectContaining({ destination: `/tmp/${HOSTILE}`, source: HOSTILE }),
      );
      const list = await sandbox.invoke(["list"]);
      expectSuccess(list);
      expectHarmless(list.stdout, 2);
      const table = await sandbox.invoke(["mounts", "list", id]);
      expectSuccess(table);
      expectHarmless(table.stdout, 1 + mounts.length);
    },
  );

  for (const [situation, args] of [
    ["doctor ID", ["doctor"]],
    ["doctor --json ID", ["doctor", "--json"]],
  ] as const) {
    spec(`${situation}, hostile names: none of them on the terminal`, CLAUSE, async (sandbox) => {
      const { id } = await hostile(sandbox);
      const { stdout, stderr } = await sandbox.invoke([...args, id]);
      expect(stdout).not.toBe("");
      expectHarmless(stdout);
      expectHarmless(stderr);
    });
  }

  spec(
    "ps, a ps(1) that prints the names of processes unchanged: no escape sequence is printed",
    CLAUSE,
    async (sandbox) => {
      const container = await hostile(sandbox);
      const folder = sandbox.path("bin");
      mkdirSync(folder);
      writeFileSync(`${folder}/names`, `PID CMD\n${(await container.state()).pid} ${SEQUENCES}\n`);
      // Like busybox's ps, which prints names of processes unchanged.
      writeFileSync(`${folder}/ps`, `#!/bin/sh\ncat ${folder}/names\n`, { mode: 0o755 });
      const result = await sandbox.invoke(["ps", container.id], { env: { PATH: `${folder}:/usr/bin:/bin` } });
      expectSuccess(result);
      expectHarmless(result.stdout, 2);
    },
  );

  for (const [command, ...flags] of [
    ["validate"],
    ["validate", "--json"],
    ["explain"],
    ["explain", "--brief"],
    ["explain", "--json"],
  ] as const) {
    spec(
      `${[command, ...flags].join(" ")}, hostile names: none of them on the terminal`,
      CLAUSE,
      async (sandbox) => {
        const container = sandbox.shell("true", (config) => {
          config.process.args = [HOSTILE];
          config.process.cwd = `/${HOSTILE}`;
          config.annotations = { [HOSTILE]: HOSTILE };
          config.mounts.push({
            destination: `/${HOSTILE}`,
            type: "bind",
            source: HOSTILE,
            options: [HOSTILE],
          });
        });
        const { stdout, stderr } = await sandbox.invoke([command, "--bundle", container.bundle, ...flags]);
        expect(stdout).not.toBe("");
        expectHarmless(stdout);
        expectHarmless(stderr);
        if (flags.some((flag) => flag === "--json")) JSON.parse(stdout);
      },
      { both: "has no such command" },
    );
  }

  const withHook = (...args: string[]): Change => {
    return (config) => {
      config.hooks = { createRuntime: [{ path: args[0] ?? "", args }] };
    };
  };
  const changes: Readonly<Record<string, Change>> = {
    program: (config) => {
      config.process.args = [`/${HOSTILE}`];
    },
    "working directory": (config) => {
      config.process.cwd = `/proc/self/exe/${HOSTILE}`;
    },
    "source of a mount": (config) => {
      config.mounts.push({ destination: "/mnt", type: "bind", source: `/${HOSTILE}`, options: ["bind"] });
    },
    cgroup: (config) => {
      config.linux.cgroupsPath = `/../../${HOSTILE}`;
    },
    hook: withHook(`/${HOSTILE}`),
    "output of a hook": withHook("/bin/sh", "-c", 'printf %s "$0" >&2; exit 1', HOSTILE),
  };
  for (const [situation, change] of Object.entries(changes)) {
    spec(
      `run, an error that names a hostile ${situation}: one harmless line, in the log too; with --debug, harmless lines`,
      CLAUSE,
      async (sandbox) => {
        const container = sandbox.container(change);
        const log = sandbox.path("log");
        const plain = await container.run({ globals: ["--log", log] });
        expect(plain.code).not.toBe(0);
        expectHarmless(plain.stderr, 1);
        expectHarmless(readFileSync(log, "utf8"), 1);
        const json = await container.run({ globals: ["--log-format", "json"] });
        expectHarmless(json.stderr, 1);
        expectHarmless(JSON.parse(json.stderr).msg, 1);
        const { stderr } = await container.run({ globals: ["--debug"] });
        expect(stderr).toContain("level=debug");
        expectHarmless(stderr);
      },
    );
  }

  spec("exec, an error that names a hostile program: one harmless line", CLAUSE, async (sandbox) => {
    const container = await hostile(sandbox);
    const { code, stderr } = await container.exec([`/${HOSTILE}`]);
    expect(code).not.toBe(0);
    expectHarmless(stderr, 1);
  });
}
