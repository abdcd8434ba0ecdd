import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect } from "vitest";
import { HAS_WARM_START, Installation, WARM, withoutCalls } from "../harness/helpers/installation.ts";
import { USER } from "../harness/host/user.ts";
import { PATH, type Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: warm start";

/** When a writer is killed, in milliseconds from its start; it takes some 700. */
const INSTANTS = [0, 10, 40, 100, 200, 300, 400, 500, 600, 700];

const asUser = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--"];
const readOnly = ({ directory }: Installation) => {
  const script = `mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; shift; exec "$@"`;
  return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", directory];
};

describe.runIf(HAS_WARM_START)("images", () => {
  let installation: Installation;
  /** Files of the installation without an image. */
  let files: string[] = [];
  beforeAll(() => {
    installation = new Installation();
    files = readdirSync(installation.directory);
  });
  beforeEach(() => rmSync(installation.image, { force: true }));
  afterAll(() => installation.remove());

  function warm(
    sandbox: Sandbox,
    args: readonly string[] = [],
    wrapper: readonly string[] = [],
  ): Promise<Result> {
    return sandbox.invoke(["warm", ...args], { runtime: installation.runtime, wrapper, env: WARM });
  }

  const entries = () => readdirSync(installation.directory).sort();
  const WRITTEN = { code: 0, stdout: expect.stringMatching(/\/runts-warm\n$/), stderr: "" };

  async function expectWarm(sandbox: Sandbox, wrapper: readonly string[] = []): Promise<void> {
    const said = { code: 0, stdout: `warm: ${installation.image}\n`, stderr: "" };
    expect(await warm(sandbox, ["--check"], wrapper)).toEqual(said);
  }

  /** Processes of the installation: the writer, the engine that is frozen, and the one that tries the image. */
  function own(): string[] {
    return readdirSync("/proc").filter((name) => {
      try {
        return readlinkSync(`/proc/${name}/exe`).startsWith(installation.directory);
      } catch {
        return false; // Not a process, or one that has ended.
      }
    });
  }

  spec("warm: writes an image that others can't write, and nothing else", CLAUSE, async (sandbox) => {
    for (const umask of ["000", "022", "077"]) {
      const wrapper = ["sh", "-c", `umask ${umask}; exec "$@"`, "sh"];
      expect(await warm(sandbox, [], wrapper)).toEqual(WRITTEN);
      const { mode, uid } = lstatSync(installation.image);
      expect([(mode & 0o7777).toString(8), uid]).toEqual(["644", 0]);
      expect(entries()).toEqual([...files, "runts-warm"].sort());
    }
    await expectWarm(sandbox);
    expect(own()).toEqual([]);
  });

  spec("warm, two at once: both succeed, and the start is warm", CLAUSE, async (sandbox) => {
    const results = await Promise.all([warm(sandbox), warm(sandbox)]);
    expect(results).toEqual([WRITTEN, WRITTEN]);
    await expectWarm(sandbox);
    expect(entries()).toEqual([...files, "runts-warm"].sort());
  });

  spec(
    "warm, while other commands start: each of them is warm or cold, and succeeds",
    CLAUSE,
    async (sandbox) => {
      const writer = warm(sandbox);
      let written = false;
      void writer.then(() => {
        written = true;
      });
      while (!written) {
        const { code, stderr } = await sandbox.invoke(["features"], {
          runtime: installation.runtime,
          env: WARM,
        });
        expect([code, stderr]).toEqual([0, ""]);
      }
      expect(await writer).toEqual(WRITTEN);
    },
  );

  spec(
    "warm, killed at any moment: nothing left, except perhaps an image that works",
    CLAUSE,
    async (sandbox) => {
      for (const instant of INSTANTS) {
        rmSync(installation.image, { force: true });
        const writer = spawn(installation.runtime, ["warm"], { stdio: "ignore", env: { PATH } });
        const ended = once(writer, "exit");
        await sleep(instant);
        writer.kill("SIGKILL");
        await ended;
        await expect.poll(own, { message: `killed after ${instant} ms` }).toEqual([]);
        const made = entries().filter((name) => !files.includes(name));
        if (made.length === 0) continue;
        expect(made).toEqual(["runts-warm"]);
        await expectWarm(sandbox);
      }
    },
  );

  spec("warm --remove: the image is gone; no error without one", CLAUSE, async (sandbox) => {
    installation.warm();
    const done = { code: 0, stdout: "", stderr: "" };
    expect(await warm(sandbox, ["--remove"])).toEqual(done);
    expect(entries()).toEqual([...files].sort());
    expect(await warm(sandbox, ["--remove"])).toEqual(done);
    expect((await warm(sandbox, ["--check"])).code).toBe(1);
  });

  spec("warm --check --remove: refused", CLAUSE, async (sandbox) => {
    const { code, stderr } = await warm(sandbox, ["--check", "--remove"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^runts: --check and --remove exclude each other\n/);
  });

  for (const [situation, wrapper, message] of [
    ["in a read-only directory", readOnly, /^runts: EROFS: read-only file system, open '\S+'\n$/],
    ["by a user who may not write there", () => asUser, /^runts: EACCES: permission denied, open '\S+'\n$/],
    [
      "where a filter refuses ptrace",
      () => withoutCalls("ptrace"),
      /^runts: ptrace PTRACE_SEIZE \d+: EPERM\n$/,
    ],
    [
      "with a hard limit of 256 open files",
      () => ["bash", "-c", 'ulimit -n 256; exec "$@"', "bash"],
      /^runts: warm: the hard limit of open files is 256, and has to be at least 1024\n$/,
    ],
  ] as const)
    spec(`warm, ${situation}: an error that says so, and nothing is left`, CLAUSE, async (sandbox) => {
      const { code, stdout, stderr } = await warm(sandbox, [], wrapper(installation));
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(message);
      expect(entries()).toEqual([...files].sort());
      expect(own()).toEqual([]);
    });

  spec(
    "warm, a user's own installation: it starts warm for the user and for root",
    CLAUSE,
    async (sandbox) => {
      const users = new Installation(USER);
      sandbox.atEnd(() => users.remove());
      const ask = (args: readonly string[], wrapper: readonly string[]) =>
        sandbox.invoke(["warm", ...args], { runtime: users.runtime, wrapper, env: WARM });
      expect(await ask([], asUser)).toEqual(WRITTEN);
      expect(lstatSync(users.image).uid).toBe(USER);
      const said = { code: 0, stdout: `warm: ${users.image}\n`, stderr: "" };
      for (const wrapper of [asUser, [...asUser, "unshare", "--user", "--map-root-user", "--"], []])
        expect(await ask(["--check"], wrapper)).toEqual(said);
    },
  );

  spec(
    "warm: the image has nothing of its writer's environment, directory, name and host name",
    CLAUSE,
    async (sandbox) => {
      const marks = [
        "secret-of-freezer",
        "home-of-freezer",
        "path-of-freezer",
        "host-of-freezer",
        "name-of-freezer",
      ];
      const script = `hostname host-of-freezer; cd "$1"; exec -a name-of-freezer "$2" warm`;
      const env = { SECRET: "secret-of-freezer", HOME: "/home-of-freezer", PATH: `${PATH}:/path-of-freezer` };
      const command = [
        "unshare",
        "--uts",
        "bash",
        "-c",
        script,
        "bash",
        sandbox.directory,
        installation.runtime,
      ];
      expect(await sandbox.run(command, { env })).toEqual(WRITTEN);
      const image = readFileSync(installation.image);
      for (const mark of [...marks, sandbox.directory, sandbox.tag])
        for (const encoding of ["utf8", "utf16le"] as const)
          expect(image.includes(Buffer.from(mark, encoding)), `${mark} in ${encoding}`).toBe(false);
      // Checks that the search finds text that is there.
      expect(image.includes(Buffer.from("runts-engine"))).toBe(true);
    },
  );
});
