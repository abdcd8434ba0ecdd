import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { parseObject } from "../harness/json.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { commandsOn, stateFile } from "../harness/state-record.ts";

/** Damaged files of a container in the state root, as after a full disk, a crash or an edit. */

const CLAUSE = "promise: errors are clear, and delete --force works";

const configFile = (sandbox: Sandbox, { id }: Container) => join(sandbox.root, id, "config.json");

type Damage = (file: string) => void;

const text = (content: string): Damage => {
  return (file) => writeFileSync(file, content);
};

function instead(make: Damage): Damage {
  return (file) => {
    rmSync(file);
    make(file);
  };
}

/** Damages that any file may have. */
const KINDS: Readonly<Record<string, Damage>> = {
  empty: text(""),
  truncated: (file) => truncateSync(file, readFileSync(file).length >> 1),
  "of zeros": (file) => writeFileSync(file, Buffer.alloc(readFileSync(file).length)),
  "not UTF-8": text('{"id":"\xff'),
  "a list": text("[]"),
  null: text("null"),
  "an empty object": text("{}"),
  "nested deeply": text(`${"[".repeat(100_000)}${"]".repeat(100_000)}`),
  "as large as a disk": (file) => truncateSync(file, 2 ** 40),
  "a folder": instead((file) => mkdirSync(join(file, "sub"), { recursive: true })),
  "a fifo": instead((file) => execFileSync("mkfifo", [file])),
  "a link to /dev/zero": instead((file) => symlinkSync("/dev/zero", file)),
  "a link to itself": instead((file) => symlinkSync(file, file)),
};

/** Values of the record that would make the runtime kill or remove what is not the container's. */
const WRONG: Readonly<Record<string, unknown>> = {
  id: "other",
  pid: "1",
  startTime: 5,
  creator: "x",
  bundle: 1,
  annotations: null,
  lastOperations: "x",
  exitStatus: { exitCode: "0" },
  devices: [{ path: "/etc/passwd", made: "node" }],
};

function field(name: string, value: unknown): Damage {
  return (file) =>
    writeFileSync(file, JSON.stringify({ ...parseObject(readFileSync(file, "utf8")), [name]: value }));
}

const STATE_DAMAGES: Readonly<Record<string, Damage>> = {
  ...KINDS,
  ...Object.fromEntries(
    Object.entries(WRONG).map(([name, value]) => [`wrong in ${name}`, field(name, value)]),
  ),
};

/** Damages with which all commands are tried; with the others, three are. */
const THOROUGHLY = ["truncated", "an empty object", "a fifo", "wrong in pid"];

/** Expects a single line of runts' own that names the file. */
function expectClear(result: Result, args: readonly string[], words: string): void {
  const shown = `${args.join(" ")}: ${result.stderr}`;
  expect(result.code, shown).toBe(args[0] === "exec" ? 255 : 1);
  expect(result.stderr, shown).toMatch(/^runts: [^\n]+\n$/);
  expect(result.stderr, shown).toContain(words);
  expect(result.stderr, shown).not.toMatch(/internal error|undefined|\[object|Error:/);
}

if (IS_RUNTS) {
  for (const [what, damage] of Object.entries(STATE_DAMAGES)) {
    spec(
      `commands that read the record, state.json is ${what}: a clear error; delete --force ends the container and removes all`,
      CLAUSE,
      async (sandbox) => {
        const container = sandbox.shell("sleep 1000");
        const other = sandbox.shell("sleep 1000");
        await container.started();
        await other.created();
        const file = stateFile(sandbox, container);
        damage(file);
        const commands = commandsOn(container).slice(0, THOROUGHLY.includes(what) ? undefined : 3);
        for (const args of commands) expectClear(await sandbox.invoke(args), args, file);
        const list = await sandbox.invoke(["list", "--quiet"]);
        expect([list.code, list.stdout]).toEqual([0, `${other.id}\n`]);
        expect(list.stderr).toContain(file);
        const again = await sandbox.invoke(["create", "--bundle", container.bundle, container.id]);
        expectClear(again, ["create"], "container with given ID already exists");
        const deleted = await container.delete("--force");
        expect([deleted.code, deleted.stderr]).toEqual([0, expect.stringContaining(`level=warning`)]);
        expect((await other.state()).status).toBe("created");
        await other.delete("--force");
        expect(await sandbox.traces()).toEqual([]);
      },
    );
  }

  spec(
    "delete --force, state.json and config.json are both empty: removes the folder, and warns that cgroup and processes are unknown",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000");
      await container.started();
      const { pid } = await container.state();
      const kept = readFileSync(stateFile(sandbox, container));
      for (const file of [stateFile(sandbox, container), configFile(sandbox, container)])
        writeFileSync(file, "");
      const { code, stderr } = await container.delete("--force");
      expect(code).toBe(0);
      expect(stderr).toMatch(/the cgroup of container \S+ is not known, nor are its processes/);
      expect(() => process.kill(pid, 0)).not.toThrow();
      mkdirSync(join(sandbox.root, container.id));
      writeFileSync(stateFile(sandbox, container), kept);
      expect((await container.delete("--force")).code).toBe(0);
    },
  );

  for (const [what, damage] of Object.entries(KINDS)) {
    spec(
      `exec and update, config.json of the container is ${what}: a clear error; other commands work`,
      CLAUSE,
      async (sandbox) => {
        const container = sandbox.shell("sleep 1000");
        await container.started();
        const file = configFile(sandbox, container);
        damage(file);
        for (const args of [
          ["exec", container.id, "true"],
          ["update", "--pids-limit", "10", container.id],
        ])
          expectClear(await sandbox.invoke(args), args, file);
        expect((await container.state()).status).toBe("running");
        expect((await container.kill("KILL")).code).toBe(0);
        await container.until("stopped");
        const { code, stderr } = await container.delete();
        expect([code, stderr]).toEqual([0, ""]);
      },
    );
  }

  spec(
    "delete, config.json is empty and there are poststop hooks: error; with --force a warning, nothing left",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.hooks = { poststop: [{ path: "/bin/true" }] };
      });
      await container.created();
      const file = configFile(sandbox, container);
      writeFileSync(file, "");
      expectClear(await container.delete(), ["delete"], file);
      const { code, stderr } = await container.delete("--force");
      expect([code, stderr]).toEqual([0, expect.stringContaining("no poststop hooks are run")]);
      expect(await sandbox.traces()).toEqual([]);
    },
  );

  const sockets: Readonly<Record<string, Damage>> = {
    missing: (file) => rmSync(file),
    "a file": instead(text("")),
    "a folder": instead((file) => mkdirSync(file)),
    "a link to nowhere": instead((file) => symlinkSync("nowhere", file)),
  };
  for (const [what, damage] of Object.entries(sockets)) {
    spec(`start, start.sock is ${what}: a clear error, and it can be deleted`, CLAUSE, async (sandbox) => {
      const container = sandbox.shell("true");
      await container.created();
      damage(join(sandbox.root, container.id, "start.sock"));
      const result = await container.start();
      expectClear(result, ["start"], "start");
      expect((await container.delete("--force")).code).toBe(0);
      expect(await sandbox.traces()).toEqual([]);
    });
  }

  spec(
    "any command, a file in place of a container's folder, or foreign files in one: clear errors, and only the container is deleted",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000");
      await container.started();
      const folder = join(sandbox.root, container.id);
      mkdirSync(join(folder, "foreign/sub"), { recursive: true });
      symlinkSync(sandbox.directory, join(folder, "foreign/link"));
      writeFileSync(join(sandbox.root, "file"), "");
      expect((await sandbox.invoke(["list", "--quiet"])).stdout).toBe(`${container.id}\n`);
      for (const args of commandsOn({ id: "file" }))
        expectClear(await sandbox.invoke(args), args, "container does not exist");
      expect((await container.delete("--force")).code).toBe(0);
      expect(readFileSync(join(container.bundle, "config.json"), "utf8")).not.toBe("");
      rmSync(join(sandbox.root, "file"));
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}
