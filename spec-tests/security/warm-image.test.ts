import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, type TestContext } from "vitest";
import { IS_RUNTS, RUNTIME } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** The image of a warm start is code that root runs: only those who may write the installation decide what is in it. */

const CLAUSE = "promise: SECURITY.md";

/** A copy of the installation, with its own image. */
function installation(sandbox: Sandbox, context: TestContext): string {
  const directory = sandbox.path("installation");
  mkdirSync(directory);
  for (const name of readdirSync(dirname(RUNTIME)).filter((file) => /^(runts|koffi)/.test(file)))
    if (name !== "runts-warm") cpSync(join(dirname(RUNTIME), name), join(directory, name));
  const { status, stderr } = warm(directory);
  if (status !== 0) context.skip(`there is no warm start here: ${stderr.trim()}`);
  expect(check(directory)).toBe(`warm: ${join(directory, "runts-warm")}\n`);
  return directory;
}

function warm(directory: string, ...args: readonly string[]) {
  // Without RUNTS_COLD, which the environment of the tests may have.
  const env = {};
  return spawnSync(join(directory, "runts"), ["warm", ...args], { env, encoding: "utf8", timeout: 60_000 });
}

function check(directory: string): string {
  return warm(directory, "--check").stdout;
}

if (IS_RUNTS) {
  spec(
    "run, secrets in the caller's environment: not in the runtime's environment",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("exec sleep 1000");
      let environment = "";
      await container.run({
        env: { SECRET: "hunter2", TERM: "xterm" },
        whileRunning: async (pid) => {
          await expect.poll(async () => (await container.stateCommand()).stdout).toContain('"running"');
          environment = readFileSync(`/proc/${pid}/environ`, "latin1");
          await container.kill("KILL");
        },
      });
      expect(environment).toContain("TERM=xterm\0");
      expect(environment).not.toMatch(/SECRET|hunter2/);
    },
  );

  spec(
    "warm: the image has nothing of the caller's environment and directory",
    CLAUSE,
    async (sandbox, context) => {
      const directory = installation(sandbox, context);
      const cwd = sandbox.path("where-the-caller-is");
      mkdirSync(cwd);
      const env = { SECRET: "hunter2", HOME: "/home/of-the-caller", TERM: "term-of-the-caller" };
      const { status } = spawnSync(join(directory, "runts"), ["warm"], { cwd, env, timeout: 60_000 });
      expect(status).toBe(0);
      const image = readFileSync(join(directory, "runts-warm"));
      const texts = ["hunter2", "of-the-caller", "where-the-caller-is"];
      for (const encoding of ["latin1", "utf16le"] as const)
        expect(texts.filter((text) => image.includes(text, 0, encoding))).toEqual([]);
    },
  );

  spec(
    "run, runts warm was called with signals ignored: the runtime ignores the same signals as in a cold start",
    "promise: docs/warm-start.md",
    async (sandbox, context) => {
      const directory = installation(sandbox, context);
      const ignoring = ["-c", 'trap "" HUP INT USR1; exec "$@"', "sh", join(directory, "runts"), "warm"];
      expect(spawnSync("sh", ignoring, { env: {}, timeout: 60_000 }).status).toBe(0);
      const ignored = async (RUNTS_COLD: string) => {
        const container = sandbox.shell("exec sleep 1000");
        let status = "";
        await container.run({
          runtime: join(directory, "runts"),
          env: { RUNTS_COLD },
          whileRunning: async (pid) => {
            await expect.poll(async () => (await container.stateCommand()).stdout).toContain('"running"');
            status = readFileSync(`/proc/${pid}/status`, "utf8");
            await container.kill("KILL");
          },
        });
        return /^SigIgn:.*/m.exec(status)?.[0];
      };
      const cold = await ignored("1");
      expect(cold).toMatch(/^SigIgn:/);
      expect(await ignored("")).toBe(cold);
    },
  );

  for (const name of ["runts-warm", "runts-engine", "koffi.node", "koffi-cxx.so"]) {
    spec(`any command, ${name} can be written by others: no warm start`, CLAUSE, async (sandbox, context) => {
      const directory = installation(sandbox, context);
      const path = join(directory, name);
      const { mode } = statSync(path);
      chmodSync(path, mode | 0o020);
      const { stdout, stderr } = warm(directory, "--check");
      // In a cold start, the engine may refuse the library.
      expect(stdout + stderr).toMatch(new RegExp(`^(cold: others may write|runts: ).*${name}`));
      chmodSync(path, mode);
      expect(check(directory)).toMatch(/^warm: /);
    });
  }
}
