import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, type TestContext } from "vitest";
import type { Container } from "../harness/container.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS, RUNTIME, which } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/**
 * The runtime runs with privileges, in a directory that the author of a bundle controls, and with its caller's environment. Neither
 * decides which code it loads.
 */

const CLAUSE = "promise: SECURITY.md";

/** Code that leaves a mark when it is loaded, as a shared library or as JavaScript. */
interface Evil {
  readonly library: string;
  readonly script: string;
  readonly mark: string;
  expectUnloaded(): void;
}

function evil(sandbox: Sandbox, context: TestContext): Evil {
  skipWithout(context, "gcc");
  const mark = sandbox.path("mark");
  const script = sandbox.path("evil.cjs");
  const library = sandbox.path("evil.so");
  writeFileSync(script, `require("node:fs").writeFileSync(${JSON.stringify(mark)}, "script");\n`);
  const source = sandbox.path("evil.c");
  writeFileSync(
    source,
    `#include <fcntl.h>
__attribute__((constructor)) static void loaded(void) { open("${mark}", O_CREAT | O_WRONLY, 0600); }`,
  );
  execFileSync("gcc", ["-shared", "-fPIC", "-o", library, source]);
  // Checks that both leave the mark when they are loaded, as the tests could not fail otherwise.
  execFileSync("/bin/true", { env: { LD_PRELOAD: library } });
  expect(existsSync(mark)).toBe(true);
  rmSync(mark);
  execFileSync(process.execPath, ["--require", script, "-e", "0"]);
  expect(existsSync(mark)).toBe(true);
  rmSync(mark);
  return { library, script, mark, expectUnloaded: () => expect(existsSync(mark)).toBe(false) };
}

/** A container whose set-up loads every library that the runtime ever loads, libseccomp included. */
function usual(sandbox: Sandbox): Container {
  return sandbox.container((config) => {
    config.process.args = ["env"];
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["swapon"], action: "SCMP_ACT_ERRNO" }],
    };
  });
}

/** Calls commands that together load all of the program. */
async function callAll(
  sandbox: Sandbox,
  container: Container,
  options: { env?: Record<string, string>; cwd?: string },
) {
  const { code, stdout, stderr } = await container.run(options);
  expect([code, stderr]).toEqual([0, ""]);
  for (const args of [["--version"], ["--help"], ["features"], ["list"], ["state", "nobody"]]) {
    await sandbox.invoke(args, options);
  }
  return stdout;
}

if (IS_RUNTS) {
  spec(
    "any command, LD_PRELOAD, LD_AUDIT and LD_LIBRARY_PATH: not obeyed",
    CLAUSE,
    async (sandbox, context) => {
      const { library, expectUnloaded } = evil(sandbox, context);
      const folder = sandbox.path("libraries");
      mkdirSync(folder);
      for (const name of ["libseccomp.so.2", "libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"]) {
        cpSync(library, join(folder, name));
      }
      const env = { LD_PRELOAD: library, LD_AUDIT: library, LD_LIBRARY_PATH: folder };
      const stdout = await callAll(sandbox, usual(sandbox), { env });
      expectUnloaded();
      expect(stdout).not.toContain("LD_");
    },
  );

  spec("any command, variables of Node and Bun: not obeyed", CLAUSE, async (sandbox, context) => {
    const { script, expectUnloaded } = evil(sandbox, context);
    const home = sandbox.path("home");
    mkdirSync(home);
    writeFileSync(join(home, ".bunfig.toml"), `preload = [${JSON.stringify(script)}]\n`);
    const stdout = await callAll(sandbox, usual(sandbox), {
      env: {
        NODE_OPTIONS: `--require ${script}`,
        NODE_PATH: sandbox.directory,
        BUN_OPTIONS: `--preload ${script}`,
        BUN_INSPECT: "unix:///nonexistent",
        BUN_INSPECT_PRELOAD: script,
        BUN_BE_BUN: "1",
        BUN_JSC_useJIT: "bad",
        BUN_CONFIG_FILE: join(home, ".bunfig.toml"),
        XDG_CONFIG_HOME: home,
        HOME: home,
      },
    });
    expectUnloaded();
    expect(stdout).not.toMatch(/NODE_|BUN_/);
  });

  spec(
    "any command, in a bundle full of configuration and modules: nothing of it is loaded",
    CLAUSE,
    async (sandbox, context) => {
      const { library, script, expectUnloaded } = evil(sandbox, context);
      const container = usual(sandbox);
      const { bundle } = container;
      const load = `require(${JSON.stringify(script)});\n`;
      for (const name of ["koffi", "yargs", "yargs-parser", "ajv", "@koromix/koffi-linux-x64", "bun"]) {
        mkdirSync(join(bundle, "node_modules", name), { recursive: true });
        writeFileSync(join(bundle, "node_modules", name, "index.js"), load);
      }
      const natives = ["koffi.node", "libseccomp.so.2", "libc.so.6", "node_modules/koffi/koffi.node"];
      for (const name of natives) cpSync(library, join(bundle, name));
      writeFileSync(
        join(bundle, ".env"),
        `LD_PRELOAD=${library}\nNODE_OPTIONS=--require ${script}\nHOME=/evil\nPATH=/evil\n`,
      );
      cpSync(join(bundle, ".env"), join(bundle, ".env.production"));
      for (const name of ["bunfig.toml", ".bunfig.toml"])
        writeFileSync(join(bundle, name), `preload = [${JSON.stringify(script)}]\n`);
      writeFileSync(
        join(bundle, "package.json"),
        '{"type":"commonjs","imports":{"#x":"./evil.js"},"main":"evil.js"}',
      );
      writeFileSync(join(bundle, "tsconfig.json"), '{"compilerOptions":{"paths":{"node:fs":["./evil.js"]}}}');
      for (const name of ["evil.js", "index.js", "index.ts", "main.js", "runts-engine", "runts.mjs"])
        writeFileSync(join(bundle, name), load, { mode: 0o755 });
      const stdout = await callAll(sandbox, container, { cwd: bundle });
      expectUnloaded();
      expect(stdout).not.toContain("evil");
    },
  );

  spec(
    "any command, TMPDIR that is missing, a file, or full of links: not used",
    CLAUSE,
    async (sandbox, context) => {
      const { library, mark, expectUnloaded } = evil(sandbox, context);
      const folder = sandbox.path("temporary");
      mkdirSync(folder);
      cpSync(library, join(folder, "koffi.node"));
      for (const TMPDIR of [sandbox.path("missing"), library, folder]) {
        const variables = { TMPDIR, TMP: TMPDIR, TEMP: TMPDIR, BUN_TMPDIR: TMPDIR, BUN_INSTALL: TMPDIR };
        await callAll(sandbox, usual(sandbox), { env: variables });
        expectUnloaded();
      }
      expect([readdirSync(folder), existsSync(sandbox.path("missing")), existsSync(mark)]).toEqual([
        ["koffi.node"],
        false,
        false,
      ]);
    },
  );
}

/** Runs a command in a network namespace where every address is local. Then prints how many packets it has sent. */
const COUNTED = `ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo 2>/dev/null
"$@"; code=$?
awk '/^Ip: [0-9]/ { ip4 = $11 } /^Ip6OutRequests/ { ip6 = $2 } END { print "packets", ip4 + ip6 }' /proc/net/snmp /proc/net/snmp6 >&2
exit $code`;

spec("any command, all addresses reachable: no packet is sent", CLAUSE, async (sandbox, context) => {
  if (which("ip") === undefined) context.skip("needs ip (package iproute2)");
  const counted = (...command: readonly string[]) => ["unshare", "-n", "sh", "-c", COUNTED, "sh", ...command];
  const send =
    "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))";
  const [file = "", ...rest] = counted("python3", "-c", send);
  expect(spawnSync(file, rest, { encoding: "utf8" }).stderr).toMatch(/^packets [1-9]/m);
  const container = usual(sandbox);
  const created = await container.created({ wrapper: counted() });
  expect(created.stderr).toMatch(/^packets 0$/m);
  for (const args of [
    ["start", container.id],
    ["state", container.id],
    ["list"],
    ["features"],
    ["--version"],
    ["--help"],
  ]) {
    const { stderr } = await sandbox.invoke(args, { wrapper: counted() });
    expect([args, stderr]).toEqual([args, expect.stringMatching(/^packets 0$/m)]);
  }
  expect((await container.delete("--force")).code).toBe(0);
});

if (IS_RUNTS) {
  for (const library of ["koffi.node", "koffi-cxx.so"]) {
    spec(`run, ${library} can be written by all: error, not loaded`, CLAUSE, async (sandbox) => {
      const dist = dirname(RUNTIME);
      const folder = sandbox.path("dist");
      mkdirSync(folder);
      for (const name of readdirSync(dist).filter((file) => /^(runts|koffi)/.test(file)))
        cpSync(join(dist, name), join(folder, name));
      const container = sandbox.shell("true");
      const runtime = join(folder, "runts");
      const { code, stderr } = await container.run({ runtime });
      expect([code, stderr]).toEqual([0, ""]);
      chmodSync(join(folder, library), 0o666);
      const result = await container.run({ runtime });
      expectRefusal(result, `${library} can be written by other users: refusing to load it`, 1);
    });
  }

  spec(
    "any command, koffi.node is missing: error that names the paths that were tried",
    CLAUSE,
    async (sandbox) => {
      const folder = sandbox.path("dist");
      mkdirSync(folder);
      for (const name of ["runts", "runts-engine"]) cpSync(join(dirname(RUNTIME), name), join(folder, name));
      const result = await sandbox.shell("true").run({ runtime: join(folder, "runts") });
      expectRefusal(result, `koffi.node was not found; looked for ${join(folder, "koffi.node")}`, 1);
    },
  );

  spec(
    "run: the runtime maps its own C++ library, not the host's",
    "promise: the host needs no C++ library",
    async (sandbox) => {
      const container = sandbox.shell("exec sleep 1000");
      let maps = "";
      await container.run({
        whileRunning: async (pid) => {
          const read = () => readFileSync(`/proc/${pid}/maps`, "utf8");
          await expect.poll(read).toContain("koffi-cxx.so");
          await expect.poll(async () => (await container.stateCommand()).stdout).toContain('"running"');
          maps = read();
          await container.kill("KILL");
        },
      });
      expect(maps).toContain("koffi.node");
      expect(maps).not.toContain("libstdc++");
    },
  );

  for (const [what, prepare] of [
    ["belongs to another user", (root: string) => execFileSync("chown", ["1000:1000", root])],
    ["can be written by all", (root: string) => chmodSync(root, 0o777)],
    ["can be written by all, with the sticky bit", (root: string) => chmodSync(root, 0o1777)],
  ] as const) {
    spec(
      `any command, --root a folder that ${what}: error, nothing is read or made`,
      CLAUSE,
      async (sandbox) => {
        mkdirSync(sandbox.root);
        prepare(sandbox.root);
        const container = sandbox.container();
        for (const args of [
          ["create", "--bundle", container.bundle, container.id],
          ["run", "--bundle", container.bundle, container.id],
          ["state", container.id],
          ["list"],
          ["delete", "--force", container.id],
          ["exec", container.id, "true"],
        ]) {
          const result = await sandbox.invoke(args);
          expectRefusal(result, "controls the containers", args[0] === "exec" ? 255 : 1);
        }
        expect(readdirSync(sandbox.root)).toEqual([]);
        expect(await sandbox.traces()).toEqual([]);
      },
    );
  }

  spec("create: only its user can read the container's folder and files", CLAUSE, async (sandbox) => {
    const container = sandbox.container();
    await container.created({ wrapper: ["sh", "-c", 'umask 0; exec "$@"', "sh"] });
    const modes = execFileSync("find", [sandbox.root, "-printf", "%P %m %u\n"], { encoding: "utf8" });
    const lines = modes
      .trim()
      .split("\n")
      .map((line) => line.replace(container.id, "ID").trim())
      .sort();
    expect(lines.filter((line) => !line.includes("start.sock"))).toEqual([
      "700 root",
      "ID 711 root",
      "ID/config.json 600 root",
      "ID/state.json 600 root",
    ]);
  });
}

const deviations = byCase(
  { both: "waits for the writer of a fifo", cases: ["a fifo"] },
  {
    runc: { reason: "an /etc/passwd that can't be read is an error", before: "1.3" },
    cases: ["a symlink to /dev/zero", "a symlink to /proc/self/mem", "a folder"],
  },
);

for (const [what, target] of [
  ["a fifo", "fifo"],
  ["a symlink to /dev/zero", "/dev/zero"],
  ["a symlink to /proc/self/mem", "/proc/self/mem"],
  ["a folder", "folder"],
] as const) {
  spec(
    `run, /etc/passwd of the image ${what}: no hang, HOME is /`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("echo $HOME");
      const path = join(container.rootfs, "etc/passwd");
      rmSync(path);
      if (target === "fifo") execFileSync("mkfifo", [path]);
      else if (target === "folder") mkdirSync(path);
      else execFileSync("ln", ["-s", target, path]);
      expect(await container.output()).toBe("/\n");
    },
    deviations(what),
  );
}
