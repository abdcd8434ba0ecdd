import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { program } from "../harness/helpers/library.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { IS_RUNTS, invoke } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: the library";
const root = join(import.meta.dirname, "../..");

describe.runIf(IS_RUNTS)("the library", () => {
  spec("run: returns output, exit code and signal, and removes the container", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("echo out; echo err >&2; exit 3");
    const body = "return [await runts.run(target), await runts.list(on)]";
    expect(await program(sandbox, container, body)).toEqual([
      { exitCode: 3, stdout: "out\n", stderr: "err\n" },
      [],
    ]);
    const killed = sandbox.shell("kill -9 $$; sleep 10", (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    });
    expect(await program(sandbox, killed, "return runts.run(target)")).toMatchObject({
      exitCode: 137,
      signal: "SIGKILL",
    });
  });

  spec("run, a process outlives init: killed, and the output is complete", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("sleep 1000 & echo out; exit 3", (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    });
    expect(await program(sandbox, container, "return runts.run(target)")).toMatchObject({
      exitCode: 3,
      stdout: "out\n",
    });
  });

  spec("run without a config: uses the bundle's", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("echo from the bundle");
    const body = "const { config: _, ...rest } = target; return (await runts.run(rest)).stdout";
    expect(await program(sandbox, container, body)).toBe("from the bundle\n");
  });

  spec(
    "create, state, start, wait, remove: the same lifecycle as on the command line",
    CLAUSE,
    async (sandbox) => {
      const body = `
      const { existsSync } = await import("node:fs");
      const { setTimeout: sleep } = await import("node:timers/promises");
      const { pid } = await runts.create({ ...target, stdout: "ignore" });
      const seen = [(await runts.state(target.id, on)).status];
      await runts.start(target.id, on);
      seen.push((await runts.state(target.id, on)).status, (await runts.ps(target.id, on)).includes(pid));
      while (!existsSync(target.bundle + "/rootfs/tmp/ready")) await sleep(10);
      await runts.kill(target.id, "SIGTERM", on);
      seen.push(await runts.wait(target.id, on), await runts.wait(target.id, on));
      const { status, exitCode } = await runts.state(target.id, on);
      seen.push(status, exitCode);
      await runts.remove(target.id, on);
      return [...seen, (await runts.list(on)).length];
    `;
      const script = "trap 'exit 5' TERM; touch /tmp/ready; while :; do sleep 0.05; done";
      const container = sandbox.shell(script, (config) => {
        config.root.readonly = false;
      });
      expect(await program(sandbox, container, body)).toEqual([
        "created",
        "running",
        true,
        { exitCode: 5 },
        { exitCode: 5 },
        "stopped",
        5,
        0,
      ]);
    },
  );

  spec("remove of a container that nobody waited for: leaves no zombie", CLAUSE, async (sandbox) => {
    const body = `
      const { pid } = await runts.create(target);
      await runts.remove(target.id, { ...on, force: true });
      const { existsSync } = await import("node:fs");
      return existsSync("/proc/" + pid);
    `;
    expect(await program(sandbox, sandbox.shell("sleep 100"), body)).toBe(false);
  });

  spec("wait for a container that does not exist: rejects", CLAUSE, async (sandbox) => {
    const body = "return runts.wait('nobody', on).catch(({ errno, message }) => [errno, message])";
    expect(await program(sandbox, sandbox.shell("true"), body)).toEqual([
      "ENOENT",
      "container does not exist",
    ]);
  });

  spec("wait for a container that another process has created: its exit code", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("sleep 100");
    await container.started();
    const body = `
      const exit = runts.wait(target.id, on);
      await runts.kill(target.id, "KILL", on);
      return [await exit, (await runts.state(target.id, on)).exitCode];
    `;
    expect(await program(sandbox, container, body)).toEqual([{ exitCode: 137, signal: "SIGKILL" }, 137]);
  });

  spec(
    "wait and remove, init's pid is another child's by now: do not touch that child",
    CLAUSE,
    async (sandbox) => {
      const body = `
      const { spawn } = await import("node:child_process");
      const { readFileSync, writeFileSync } = await import("node:fs");
      await runts.create(target);
      await runts.kill(target.id, "KILL", on);
      await runts.wait(target.id, on);
      // A second instance of the library, which has not waited for init, like another process.
      const again = await import(import.meta.resolve("runts") + "?again");
      const child = spawn("sh", ["-c", "read line; exit 7"], { stdio: ["pipe", "ignore", "ignore"] });
      const exited = new Promise((resolve) => child.on("exit", resolve));
      const file = target.root + "/" + target.id + "/state.json";
      const saved = JSON.parse(readFileSync(file, "utf8"));
      writeFileSync(file, JSON.stringify({ ...saved, pid: child.pid, exitStatus: undefined }));
      const waited = await again.wait(target.id, on).catch(({ errno }) => errno);
      await again.remove(target.id, on);
      child.stdin.end();
      return [waited, await exited];
    `;
      expect(await program(sandbox, sandbox.shell("sleep 100"), body)).toEqual(["ECHILD", 7]);
    },
  );

  spec("remove with force, state.json is damaged: removes the container", CLAUSE, async (sandbox) => {
    const body = `
      const { writeFileSync } = await import("node:fs");
      await runts.create(target);
      writeFileSync(target.root + "/" + target.id + "/state.json", "{");
      const warnings = [];
      await runts.remove(target.id, { ...on, force: true, onWarning: (text) => warnings.push(text) });
      return [warnings.length, await runts.list(on)];
    `;
    expect(await program(sandbox, sandbox.shell("sleep 100"), body)).toEqual([1, []]);
  });

  spec("exec and spawn: exec collects output, spawn streams input and output", CLAUSE, async (sandbox) => {
    const body = `
      await runts.create(target);
      await runts.start(target.id, on);
      try {
        const ran = await runts.exec(target.id, { ...on, args: ["sh", "-c", "echo $A; id -u; pwd; exit 4"], env: ["A=b"], user: "7:8", cwd: "/dev" });
        const cat = await runts.spawn(target.id, { ...on, args: ["cat"], stdin: "pipe", stdout: "pipe" });
        cat.stdin.end("through");
        let text = "";
        for await (const chunk of cat.stdout) text += chunk;
        const failed = await runts.exec(target.id, { ...on, args: ["/none"] }).catch((error) => [error instanceof runts.RuntsError, error.errno, error.pointer]);
        return [ran, text, await cat.exited, failed];
      } finally {
        await runts.remove(target.id, { ...on, force: true });
      }
    `;
    expect(await program(sandbox, sandbox.shell("sleep 100"), body)).toEqual([
      { exitCode: 4, stdout: "b\n7\n/dev\n", stderr: "" },
      "through",
      { exitCode: 0 },
      [true, "ENOENT", "/process/args/0"],
    ]);
  });

  spec("events: stats at each interval until the container stops", CLAUSE, async (sandbox) => {
    const body = `
      await runts.create(target);
      await runts.start(target.id, on);
      const seen = [];
      for await (const event of runts.events(target.id, { ...on, intervalMs: 10 })) {
        seen.push([event.type, event.id === target.id]);
        if (seen.length === 2) await runts.kill(target.id, "KILL", on);
      }
      const { exitCode } = await runts.wait(target.id, on);
      await runts.remove(target.id, on);
      return [seen.slice(0, 2), exitCode];
    `;
    expect(await program(sandbox, sandbox.shell("sleep 100"), body)).toEqual([
      [
        ["stats", true],
        ["stats", true],
      ],
      137,
    ]);
  });

  spec("events, loops that are left and begun again: each gets an event", CLAUSE, async (sandbox) => {
    const body = `
      await runts.create(target);
      let seen = 0;
      for (let round = 0; round < 100; round++)
        for await (const _ of runts.events(target.id, { ...on, intervalMs: 1 })) {
          seen++;
          break;
        }
      await runts.remove(target.id, { ...on, force: true });
      return seen;
    `;
    expect(await program(sandbox, sandbox.shell("sleep 100"), body)).toBe(100);
  });

  spec(
    "events with Infinity: no stats, until the container stops; with 0 or NaN: refused",
    CLAUSE,
    async (sandbox) => {
      const body = `
      const eventsOf = async (intervalMs) => {
        const seen = [];
        for await (const { type } of runts.events(target.id, { ...on, intervalMs })) seen.push(type);
        return seen;
      };
      await runts.create(target);
      await runts.start(target.id, on);
      const refusals = await Promise.all([0, -1, NaN].map((ms) => eventsOf(ms).catch(({ name }) => name)));
      const seen = eventsOf(Infinity);
      await runts.exec(target.id, { ...on, args: ["sleep", "0.1"] });
      await runts.kill(target.id, "KILL", on);
      const events = await seen;
      await runts.remove(target.id, on);
      return [...refusals, events];
    `;
      const refusal = "RuntsError";
      expect(await program(sandbox, sandbox.shell("sleep 100"), body)).toEqual([
        refusal,
        refusal,
        refusal,
        [],
      ]);
    },
  );

  spec("wait: twenty containers at once, in one thread", CLAUSE, async (sandbox) => {
    const body = `
      const ids = Array.from({ length: 20 }, (_, index) => target.id + "x" + index);
      for (const id of ids) {
        const own = { ...config, linux: { ...config.linux, cgroupsPath: "/" + id } };
        await runts.create({ ...target, id, config: own });
      }
      const exits = ids.map((id) => runts.wait(id, on));
      for (const id of ids) await runts.start(id, on);
      const codes = (await Promise.all(exits)).map(({ exitCode }) => exitCode);
      for (const id of ids) await runts.remove(id, on);
      return codes;
    `;
    expect(await program(sandbox, sandbox.shell("exit 9"), body)).toEqual(Array(20).fill(9));
  });

  spec(
    "update: takes resources as objects, and refuses wrong ones by their pointer",
    CLAUSE,
    async (sandbox) => {
      const body = `
      await runts.create(target);
      try {
        await runts.update(target.id, { pids: {}, unified: {} }, on);
        const refusal = await runts.update(target.id, { cpu: { shares: -1 } }, on).catch((error) => error.issues);
        return refusal.map(({ pointer }) => pointer);
      } finally {
        await runts.remove(target.id, { ...on, force: true });
      }
    `;
      expect(await program(sandbox, sandbox.shell("sleep 100"), body)).toEqual(["/cpu/shares"]);
    },
  );

  spec("create with an invalid config: all issues in the error, nothing left", CLAUSE, async (sandbox) => {
    const body = `
      config.process.cwd = "x";
      config.hostname = 5;
      const error = await runts.create(target).catch((reason) => reason);
      const pointers = (issues) => issues.map(({ pointer }) => pointer).sort();
      return [error.name, pointers(error.issues), pointers(runts.validate(config)), await runts.list(on)];
    `;
    const pointers = ["/hostname", "/process/cwd"];
    expect(await program(sandbox, sandbox.shell("true"), body)).toEqual([
      "RuntsError",
      pointers,
      pointers,
      [],
    ]);
  });

  spec("features: returns the object that the command line prints", CLAUSE, async (sandbox) => {
    const printed = await sandbox.invoke(["features"]);
    expect(await program(sandbox, sandbox.shell("true"), "return runts.features()")).toEqual(
      parseObject(printed.stdout),
    );
  });

  it.each(["sandbox", "events"])("examples/library/%s.mjs works as its page shows", async (name) => {
    const directory = mkdtempSync(join(tmpdir(), "library-"));
    try {
      const file = join(root, `examples/library/${name}.mjs`);
      const options = { directory, runtime: process.execPath };
      const { code, stdout, stderr } = await invoke([file], options);
      expect([code, stderr]).toEqual([0, ""]);
      const page = readFileSync(join(root, "examples/library/README.md"), "utf8");
      expect(page).toContain(`\`\`\`js\n${readFileSync(file, "utf8")}\`\`\``);
      // The times differ on each run, and so does the number of their lines.
      const form = (text: string) => text.replace(/(?:\d+ ns of CPU time\n)+/g, "N ns of CPU time\n");
      expect(form(page)).toContain(`\`\`\`\n${form(stdout)}\`\`\``);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("the types accept the examples, and refuse wrong uses", () => {
    const directory = mkdtempSync(join(root, "dist/.types-test-"));
    try {
      const tsconfig = {
        extends: join(root, "tsconfig.json"),
        compilerOptions: { allowJs: true, checkJs: true, noEmit: true },
        include: [join(directory, "*.ts"), join(root, "examples/library/*.mjs")],
      };
      writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(tsconfig));
      writeFileSync(
        join(directory, "wrong.ts"),
        `import { defaultConfig, run } from "runts";
         const config = defaultConfig();
         config.linux.resources = { memory: { limit: 5 }, pids: { limit: 5n } };
         const { exitCode } = await run({ id: "x", config });
         exitCode satisfies number;
         // @ts-expect-error
         config.linux.resources = { memory: { limit: "5" } };
         // @ts-expect-error
         await run({ config });
         // @ts-expect-error
         await run({ id: "x", config, stdin: "pipe" });
        `,
      );
      const compiler = join(root, "node_modules/typescript/bin/tsc");
      const { stdout, status } = spawnSync(process.execPath, [compiler, "-p", directory], {
        encoding: "utf8",
      });
      expect([stdout, status]).toEqual(["", 0]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("package.json's exports name what the build has made", () => {
    const { exports } = parseObject(readFileSync(join(root, "package.json"), "utf8"));
    const files = Object.values(asObject(asObject(exports)["."]));
    for (const file of files) expect(readFileSync(join(root, String(file)), "utf8")).not.toBe("");
    expect(files).toHaveLength(2);
  });
});
