import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fuzzing, Random } from "../random.test-support.ts";
import { targets } from "./targets.test-support.ts";

const ADDED = { DO_NOT_TRACK: "1", BUN_ENABLE_CRASH_REPORTING: "0", TZ: "UTC", BUN_JSC_useJIT: "0" };

const PASSED = {
  PATH: "/usr/bin:/bin",
  HOME: "/home/a",
  USER: "a",
  LOGNAME: "b",
  TERM: "xterm",
  LANG: "C.UTF-8",
  XDG_RUNTIME_DIR: "/run/user/1",
  DBUS_SESSION_BUS_ADDRESS: "unix:path=/a=b",
  NOTIFY_SOCKET: "@/n",
  LISTEN_FDS: "1",
  LISTEN_PID: "2",
  LISTEN_FDNAMES: "x:y",
  TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  TRACESTATE: "a=b",
};

const NOT_PASSED = {
  LD_PRELOAD: "/nonexistent.so",
  LD_LIBRARY_PATH: "/tmp",
  LD_AUDIT: "/nonexistent.so",
  NODE_OPTIONS: "--no-such-option",
  NODE_CHANNEL_FD: "3",
  BUN_OPTIONS: "--no-such-option",
  BUN_INSPECT: "1",
  BUN_JSC_useJIT: "1",
  BUN_CONFIG_X: "1",
  JSC_useJIT: "1",
  MIMALLOC_ALLOW_THP: "0",
  MALLOC_CONF: "x",
  DO_NOT_TRACK: "0",
  TZ: "Europe/Berlin",
  RUNTS_NOFILE: "1:2",
  RUNTS_FDS: "99",
  RUNTS_GAPS: "3-4",
  RUNTS_OTHER: "1",
  PATHS: "/x",
  XPATH: "/x",
  path: "/x",
  IFS: "x",
  EMPTY: "",
};

describe.each(targets)("launcher: $name", ({ skipReason, emulator, hasLoader, prepare }) => {
  if (skipReason !== false) {
    test.skip(`skipped: ${skipReason}`, () => {});
    return;
  }
  let [directory, launcher, engine, prepared] = ["", "", "", ""];
  const workshop = mkdtempSync(join(tmpdir(), "runts-launcher-"));

  beforeAll(() => {
    prepared = prepare(workshop);
  });
  afterAll(() => rmSync(workshop, { recursive: true, force: true }));

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "runts-launcher-"));
    launcher = join(directory, "runts");
    copyFileSync(prepared, launcher);
    engine = join(directory, "runts-engine");
  });

  afterEach(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  function launch(args: readonly string[], env: NodeJS.ProcessEnv = {}, file = launcher) {
    const [command = "", ...rest] = [...emulator, file, ...args];
    const argv0 = emulator.length === 0 ? { argv0: "odd name" } : {};
    return spawnSync(command, rest, { encoding: "utf8", env, timeout: 20_000, ...argv0 });
  }

  /** Node as the engine: it prints its arguments and environment, and would obey the variables that must not reach it. */
  function report(env: NodeJS.ProcessEnv, more: readonly string[] = [], file = launcher) {
    const script =
      "JSON.stringify({ env: process.env, argv0: process.argv0, argv: process.argv.slice(1), pid: process.pid })";
    rmSync(engine, { force: true });
    symlinkSync(process.execPath, engine);
    const { stdout, stderr, pid } = launch(["-p", script, "--", ...more], env, file);
    expect(stderr).toBe("");
    return { ...JSON.parse(stdout), launched: pid };
  }

  /** A shell as the engine. Another shell runs `preparation`, then the launcher. */
  function shellReport(preparation: string, script: string): string[] {
    writeFileSync(engine, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const command = [...emulator, launcher].map((word) => `'${word}'`).join(" ");
    const { stdout, stderr } = spawnSync("/bin/sh", ["-c", `${preparation}\nexec ${command}`], {
      encoding: "utf8",
      timeout: 20_000,
    });
    expect(stderr).toBe("");
    return stdout.trim().split("\n");
  }

  const OWN = { RUNTS_FDS: expect.stringMatching(/^\d+$/), RUNTS_NOFILE: expect.stringMatching(/^\d+:\d+$/) };

  test("passes the variables that runts documents, and adds its own", () => {
    expect(report(PASSED).env).toEqual({ ...PASSED, ...ADDED, ...OWN });
  });

  test("passes no other variable, nor the caller's values of the variables that it adds", () => {
    expect(report(hasLoader ? withoutLoader(NOT_PASSED) : NOT_PASSED).env).toEqual({
      ...ADDED,
      ...OWN,
    });
  });

  test("works without any environment", () => {
    expect(report({}).env).toEqual({ ...ADDED, ...OWN });
  });

  test("keeps the arguments, including empty and odd ones and argv[0], and stays the same process", () => {
    const args = ["", "a b", "--x=y", "ü", "\n"];
    const { argv, argv0, pid, launched } = report({}, args);
    expect(argv).toEqual(args);
    expect(argv0).toBe("odd name");
    expect(pid).toBe(launched);
  });

  test("finds the engine in its own directory when it is called by a symbolic link", () => {
    const link = join(directory, "bin", "link");
    mkdirSync(join(directory, "bin"));
    symlinkSync("../runts", link);
    expect(report({}, ["by link"], link).argv).toEqual(["by link"]);
  });

  test("leaves a working directory that was removed, and no other", () => {
    expect(shellReport("cd /usr", "pwd -P")).toEqual(["/usr"]);
    const [entered] = shellReport('cd "$(mktemp -d)" && rmdir "$PWD"', "pwd -P");
    expect(entered).toMatch(/^\/proc\/\d+\/fdinfo$/);
  });

  test("passes on its limits of open files, and changes none", () => {
    const lines = shellReport("ulimit -Sn 100", 'echo "$RUNTS_NOFILE"; echo "$(ulimit -Sn):$(ulimit -Hn)"');
    expect(lines).toEqual([expect.stringMatching(/^100:\d+$/), lines[0]]);
    expect(shellReport("ulimit -n 64", 'echo "$RUNTS_NOFILE"')).toEqual(["64:64"]);
  });

  test.each([
    ["exec 3<&- 4<&- 5<&-", 0],
    ["exec 3<&- 4</dev/null 5<&-", 0],
    ["exec 3</dev/null 4<&- 5</dev/null", 1],
    ["ulimit -Sn 100; exec 3</dev/null 4</dev/null 5<&-", 2],
    ["exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null 7<&-", 4],
  ])("counts the descriptors that are open from 3 on: %s", (preparation, count) => {
    expect(shellReport(preparation, 'echo "$RUNTS_FDS"')).toEqual([String(count)]);
  });

  test("passes descriptors on", () => {
    expect(shellReport("exec 3<<.\nhanded over\n.\n", "cat <&3")).toEqual(["handed over"]);
  });

  describe("the libraries of the engine", () => {
    const libraries = { RUNTS_KOFFI: "koffi.node", RUNTS_KOFFI_CXX: "koffi-cxx.so" };
    const library = (name: string): string => join(directory, name);
    beforeEach(() => {
      for (const name of Object.values(libraries)) writeFileSync(library(name), name, { mode: 0o644 });
    });

    /** The contents of the descriptor that each variable names. */
    const handed = (): string[] =>
      shellReport(
        "",
        Object.keys(libraries)
          .map((name) => `if [ -n "$${name}" ]; then cat /proc/self/fd/$${name}; fi; echo`)
          .join("\n"),
      );

    test("are passed on as open descriptors", () => {
      expect(handed()).toEqual(["koffi.node", "koffi-cxx.so"]);
    });

    test.each([
      ["is missing", unlinkSync],
      ["can be written by its group", (file: string) => chmodSync(file, 0o664)],
      ["can be written by all", (file: string) => chmodSync(file, 0o646)],
    ])("are not passed on if one %s", (_, spoil) => {
      spoil(library("koffi-cxx.so"));
      expect(handed().join(" ").trim()).toBe("koffi.node");
      writeFileSync(library("koffi-cxx.so"), "koffi-cxx.so", { mode: 0o644 });
      chmodSync(library("koffi-cxx.so"), 0o644);
      spoil(library("koffi.node"));
      expect(handed().join(" ").trim()).toBe("koffi-cxx.so");
    });

    test.skipIf(process.getuid?.() !== 0)(
      "belong to root, the caller or the owner of the launcher (needs root)",
      () => {
        chownSync(library("koffi.node"), 12345, 12345);
        expect(handed().join(" ").trim()).toBe("koffi-cxx.so");
        if (emulator.length > 0) return; // whose /proc/self/exe is the emulator
        chownSync(launcher, 12345, 12345);
        expect(handed()).toEqual(["koffi.node", "koffi-cxx.so"]);
      },
    );
  });

  test("reports a missing engine", () => {
    const { status, stdout, stderr } = launch(["run"]);
    expect([status, stdout]).toEqual([1, ""]);
    // A package of another version may be installed, and is named then: spec-tests/callers/copied-executable.test.ts.
    expect(stderr).toContain(`runts: ${engine} is missing; it belongs beside this program`);
  });

  test("reports why the engine can't be executed", () => {
    writeFileSync(engine, "", { mode: 0o644 });
    expect(launch([])).toMatchObject({
      status: 1,
      stderr: `runts: cannot execute ${engine}: permission denied\n`,
    });
    chmodSync(engine, 0o755);
    expect(launch([])).toMatchObject({ status: 1, stderr: `runts: cannot execute ${engine}: errno 8\n` });
    unlinkSync(engine);
    symlinkSync("runts-engine", engine);
    expect(launch([])).toMatchObject({ status: 1, stderr: `runts: cannot execute ${engine}: errno 40\n` });
  });

  const { cases: wanted, seed } = fuzzing(400);
  /** Emulators and sanitizers start slowly. */
  const cases = Math.ceil(hasLoader ? wanted / 8 : wanted);

  test(`${cases} environments of seed ${seed}: the first of each variable that may pass, and no other`, () => {
    symlinkSync("/usr/bin/env", engine);
    const random = new Random(seed);
    const inputs = Array.from({ length: cases }, () => environment(random, hasLoader));
    for (const [index, { status, output }] of launchAll(inputs).entries()) {
      const { argv0, env } = inputs[index] ?? { argv0: "", env: [] };
      const passed = Object.keys(PASSED).flatMap(
        (name) => env.find((entry) => entry.startsWith(`${name}=`)) ?? [],
      );
      const added = Object.entries(ADDED).map(([name, value]) => `${name}=${value}`);
      const entries = output.split("\0").filter((entry) => !/^RUNTS_(FDS|NOFILE)=/.test(entry));
      expect([status, entries], JSON.stringify({ argv0, env })).toEqual([0, [...passed, ...added, ""]]);
    }
  });

  /** Runs the launcher by execve(2) itself, with any argv[0] and an environment of any form. */
  function launchAll(inputs: readonly Environment[]): { readonly status: number; readonly output: string }[] {
    const command = [...emulator.slice(0, 1), launcher];
    const program = `
import ctypes, json, os, sys
libc = ctypes.CDLL(None)
command, inputs = json.load(sys.stdin)
def strings(texts):
    return (ctypes.c_char_p * (len(texts) + 1))(*[text.encode("latin1") for text in texts], None)
for given in inputs:
    front = ["qemu", "-0", given["argv0"], command[-1]] if len(command) > 1 else [given["argv0"]]
    argv, env = strings([*front, "-0"]), strings(given["env"])
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        libc.execve(command[0].encode(), argv, env)
        os._exit(99)
    os.close(write)
    with os.fdopen(read, "rb") as file: output = file.read().decode("latin1")
    print(json.dumps({"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "output": output}))
`;
    const options = {
      input: JSON.stringify([command, inputs]),
      encoding: "utf8",
      maxBuffer: 1 << 28,
    } as const;
    return execFileSync("python3", ["-c", program], options)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  }

  test.skipIf(emulator.length > 0).each([
    [4082, ""],
    [4083, ""],
    [4084, "runts: the path of this program is too long\n"],
    [4095, "runts: the path of this program is too long\n"],
  ])("a path of %i bytes: %j", (length, message) => {
    let folder = directory;
    const rest = () => length - "/runts".length - folder.length - 1;
    while (rest() > 0) folder = join(folder, "d".repeat(rest() > 202 ? 200 : rest()));
    mkdirSync(folder, { recursive: true });
    const file = join(folder, "runts");
    copyFileSync(prepared, file);
    if (message === "") symlinkSync("/bin/true", join(folder, "runts-engine"));
    expect(file).toHaveLength(length);
    const { status, stderr } = launch([], {}, file);
    expect([status, stderr]).toEqual([message === "" ? 0 : 1, message]);
  });

  test("gives the exit code of the engine", () => {
    writeFileSync(engine, '#!/bin/sh\nexit "$1"\n', { mode: 0o755 });
    expect(launch(["42"]).status).toBe(42);
  });
});

interface Environment {
  readonly argv0: string;
  readonly env: readonly string[];
}

/** Environment entries with and without `=`, repeated, empty, long, and with names that resemble those that pass. */
function environment(random: Random, hasLoader: boolean): Environment {
  const names = [...Object.keys(PASSED), ...Object.keys(NOT_PASSED)].filter(
    (name) => !hasLoader || !name.startsWith("LD_"),
  );
  const entry = (): string => {
    const name = random.pick(names);
    const odd = random.pick([name.slice(1), name.slice(0, -1), `${name}X`, name.toLowerCase(), ` ${name}`]);
    const value = random.pick([
      "",
      "x",
      "=",
      "a=b",
      "\u00ff\u0080",
      "\n",
      "y".repeat(random.pick([10, 5000, 100_000])),
    ]);
    return random.pick([
      `${name}=${value}`,
      `${name}=${value}`,
      `${odd}=${value}`,
      name,
      "",
      "=",
      `=${name}=`,
    ]);
  };
  const safe = (text: string) => !hasLoader || !/^(LD_|QEMU_|ASAN_|UBSAN_|LSAN_)/.test(text);
  const env = Array.from({ length: random.below(40) }, entry).filter(safe);
  return { argv0: random.pick(["run", "create", "exec", "", "runts", "ru", "runs", "x".repeat(5000)]), env };
}

/** The emulator has its own dynamic loader, which obeys LD_* of the launcher's environment. */
function withoutLoader(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("LD_")));
}
