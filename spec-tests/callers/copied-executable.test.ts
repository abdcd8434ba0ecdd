import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { COLD, HAS_WARM_START, Installation, installedFrom, WARM } from "../harness/helpers/installation.ts";
import { USER } from "../harness/host/user.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** A test of podman's own (test/system/030-run.bats) copies the runtime's file elsewhere, and names the copy by --runtime. */
const CLAUSE = "promise: SECURITY.md, Surroundings";

describe.runIf(IS_RUNTS)("a copy of the one file /usr/bin/runts", () => {
  let installation: Installation;
  beforeAll(() => {
    installation = new Installation();
    if (HAS_WARM_START) installation.warm();
  });
  afterAll(() => installation.remove());

  /** Copies the launcher, and from the same folder the other files that are named. */
  function copy(sandbox: Sandbox, ...others: readonly string[]): string {
    const folder = sandbox.path("copy");
    mkdirSync(folder);
    for (const name of ["runts", ...others])
      cpSync(join(installation.directory, name), join(folder, name), { preserveTimestamps: true });
    return join(folder, "runts");
  }

  const installed = () => installedFrom(installation.directory);
  const missing = (runtime: string, more = "") =>
    `runts: ${join(dirname(runtime), "runts-engine")} is missing; it belongs beside this program${more}\n`;

  for (const [start, env] of [
    ["cold", COLD],
    ...(HAS_WARM_START ? [["warm", WARM] as const] : []),
  ] as const) {
    spec(
      `warm --check by a copy, the same version is installed: it starts ${start}`,
      CLAUSE,
      async (sandbox) => {
        const options = { runtime: copy(sandbox), wrapper: installed(), env };
        const { code, stdout, stderr } = await sandbox.invoke(["warm", "--check"], options);
        const expected = start === "warm" ? "warm: /usr/lib/runts/runts-warm\n" : "cold: RUNTS_COLD is set\n";
        expect([code, stdout, stderr]).toEqual([start === "warm" ? 0 : 1, expected, ""]);
      },
    );

    spec(
      `run by a copy, the same version is installed: the container's output and exit code, ${start}`,
      CLAUSE,
      async (sandbox) => {
        const container = sandbox.shell("echo out; echo err >&2; exit 7");
        const result = await container.run({ runtime: copy(sandbox), wrapper: installed(), env });
        expect(result).toEqual({ code: 7, stdout: "out\n", stderr: "err\n" });
      },
    );
  }

  /** Few descriptors, some of them closed, with a soft limit below the hard one. */
  const CALLER = ["bash", "-c", 'ulimit -Sn 500; exec 3</dev/null 4<&- 5</dev/null 6<&-; exec "$@"', "bash"];
  const LOOK = 'cd /proc/$$/fd; for fd in *; do [ -L $fd ] && printf "$fd "; done; ulimit -Sn';

  // A warm image without its engine: the launcher raises the limit before it sees that.
  for (const beside of [[], ["koffi.node"], ...(HAS_WARM_START ? [["koffi.node", "runts-warm"]] : [])]) {
    const name = ["a copy", ...beside].join(" with ");
    spec(
      `run --preserve-fds by ${name}: the container gets the caller's descriptors and limit`,
      CLAUSE,
      async (sandbox) => {
        const runtime = copy(sandbox, ...beside);
        const flags = ["--preserve-fds", "4"];
        const options = { runtime, flags, env: WARM, wrapper: [...installed(), ...CALLER] };
        const container = sandbox.shell(LOOK, (config) => {
          delete config.process.rlimits;
        });
        expect(await container.run(options)).toEqual({
          code: 0,
          stdout: "0 1 2 3 5 500\n",
          stderr: "",
        });
      },
    );
  }

  spec(
    "--version by a copy of another user's, in a namespace without the host's root: it starts",
    CLAUSE,
    async (sandbox) => {
      const runtime = copy(sandbox);
      chownSync(runtime, USER, USER);
      const asUser = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--"];
      const asNamespaceRoot = ["unshare", "--user", "--map-root-user", "--"];
      const wrapper = [...installed(), ...asUser, ...asNamespaceRoot];
      const { code, stdout, stderr } = await sandbox.invoke(["--version"], { runtime, wrapper });
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/^runts version /);
    },
  );

  spec("--version by a copy, nothing is installed: error that names the file", CLAUSE, async (sandbox) => {
    const runtime = copy(sandbox);
    const empty = sandbox.path("empty");
    mkdirSync(empty);
    const result = await sandbox.invoke(["--version"], { runtime, wrapper: installedFrom(empty) });
    expect(result).toEqual({ code: 1, stdout: "", stderr: missing(runtime) });
  });

  spec(
    "--version by the installed launcher itself, its engine is missing: error",
    CLAUSE,
    async (sandbox) => {
      const alone = dirname(copy(sandbox));
      const runtime = "/usr/lib/runts/runts";
      const result = await sandbox.invoke(["--version"], { runtime, wrapper: installedFrom(alone) });
      expect(result).toEqual({ code: 1, stdout: "", stderr: missing(runtime) });
    },
  );

  const refused = async (sandbox: Sandbox, spoil: (runtime: string) => void): Promise<[string, Result]> => {
    const runtime = copy(sandbox);
    spoil(runtime);
    return [runtime, await sandbox.invoke(["--version"], { runtime, wrapper: installed() })];
  };

  for (const [what, change] of [
    ["of another version", (runtime: string) => appendFileSync(runtime, "runts 1.0.1\n")],
    ["with another last byte", changeLastByte],
  ] as const) {
    spec(`--version by a copy ${what}: error, the installed engine is not used`, CLAUSE, async (sandbox) => {
      const [runtime, result] = await refused(sandbox, change);
      const more = ", and the one in /usr/lib/runts is of another version";
      expect(result).toEqual({ code: 1, stdout: "", stderr: missing(runtime, more) });
    });
  }

  for (const [what, name, spoil, mend] of [
    ["folder can be written by its group", ".", chmod(0o775), chmod(0o755)],
    ["folder can be written by all", ".", chmod(0o757), chmod(0o755)],
    ["folder belongs to another user", ".", chown(USER), chown(0)],
    ["launcher can be written by its group", "runts", chmod(0o775), chmod(0o755)],
    ["launcher belongs to another user", "runts", chown(USER), chown(0)],
  ] as const) {
    spec(`--version by a copy, the installed ${what}: error, it is not used`, CLAUSE, async (sandbox) => {
      const path = join(installation.directory, name);
      try {
        const [runtime, result] = await refused(sandbox, () => spoil(path));
        const more = ", and /usr/lib/runts is not root's alone";
        expect(result).toEqual({ code: 1, stdout: "", stderr: missing(runtime, more) });
      } finally {
        mend(path);
      }
    });
  }

  spec(
    "run by a copy, koffi.node is not installed: the installed engine's error",
    CLAUSE,
    async (sandbox) => {
      const folder = sandbox.path("installed");
      mkdirSync(folder);
      for (const name of ["runts", "runts-engine"])
        cpSync(join(installation.directory, name), join(folder, name));
      const runtime = copy(sandbox);
      const result = await sandbox.shell("true").run({ runtime, wrapper: installedFrom(folder) });
      expectRefusal(result, "koffi.node was not found; looked for /usr/lib/runts/koffi.node");
      expect(existsSync(join(dirname(runtime), "koffi.node"))).toBe(false);
    },
  );
});

function changeLastByte(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function chmod(mode: number): (path: string) => void {
  return (path) => chmodSync(path, mode);
}

function chown(user: number): (path: string) => void {
  return (path) => chownSync(path, user, user);
}
