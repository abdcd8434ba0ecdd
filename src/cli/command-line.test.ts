import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { callKernel, substituteKernel } from "../../bindings/ffi/syscall.ts";
import { RuntsError } from "../errors.ts";
import { openLog } from "../log.ts";
import { recordingOperations, sampleState } from "./capture.test-support.ts";
import { runCommandLine } from "./command-line.ts";
import { contextFrom } from "./context.ts";
import { parseArguments } from "./options/arguments.ts";
import { globalOptions } from "./options/global-options.ts";
import { forgetWritten, written } from "./written.test-support.ts";

vi.mock("../../bindings/linux/files.ts", async (original) => {
  const { capturingFiles } = await import("./written.test-support.ts");
  return capturingFiles(original);
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-cli-"));
  forgetWritten();
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

async function runts(...argv: string[]) {
  const { operations, calls, contexts } = recordingOperations([sampleState]);
  const code = await runCommandLine(["--root", join(directory, "root"), ...argv], operations);
  return { code, calls, contexts, ...written };
}

describe("commands", () => {
  const defaults = { id: "box", noPivot: false, noNewKeyring: false, preserveFds: 0 };

  it("create: passes its options, paths made absolute, and makes the state root", async () => {
    const pidFile = join(directory, "made/pid");
    const argv = [
      "-b",
      "bundle",
      "--pid-file",
      pidFile,
      "--console-socket=/run/s",
      "--no-pivot",
      "-no-new-keyring",
    ];
    const { code, calls } = await runts("create", ...argv, "--no-subreaper", "--preserve-fds", "2", "box");
    expect(code).toBe(0);
    const paths = { bundle: join(process.cwd(), "bundle"), pidFile, consoleSocket: "/run/s" };
    expect(calls).toEqual([
      ["create", { id: "box", ...paths, noPivot: true, noNewKeyring: true, preserveFds: 2 }],
    ]);
    expect(existsSync(join(directory, "made"))).toBe(false);
    expect(existsSync(join(directory, "root"))).toBe(true);
  });

  it("create: takes the current directory for the bundle", async () => {
    expect((await runts("create", "box")).calls).toEqual([
      ["create", { ...defaults, bundle: process.cwd() }],
    ]);
  });

  it("run: passes its options and gives the exit code of the process", async () => {
    const { code, calls } = await runts("run", "-d", "--keep", "--no-subreaper", "-b=/b", "box");
    expect(code).toBe(7);
    expect(calls).toEqual([
      ["run", { ...defaults, bundle: "/b", detach: true, keep: true, noSubreaper: true }],
    ]);
  });

  it.each([
    [
      ["start", "box"],
      ["start", "box"],
    ],
    [
      ["kill", "box"],
      ["kill", "box", "SIGTERM", { all: false }],
    ],
    [
      ["kill", "--all", "box", "9"],
      ["kill", "box", "9", { all: true }],
    ],
    [
      ["kill", "box", "KILL", "-a"],
      ["kill", "box", "KILL", { all: true }],
    ],
    [
      ["delete", "box"],
      ["delete", "box", { force: false }],
    ],
    [
      ["delete", "--force", "box"],
      ["delete", "box", { force: true }],
    ],
    [
      ["delete", "box", "-f"],
      ["delete", "box", { force: true }],
    ],
    [
      ["pause", "box"],
      ["pause", "box"],
    ],
    [
      ["resume", "box"],
      ["resume", "box"],
    ],
  ])("%j", async (argv, call) => {
    const { code, calls, out, err } = await runts(...argv);
    expect({ code, calls, out, err }).toEqual({ code: 0, calls: [call], out: "", err: "" });
  });

  it("update: passes what its options say, or the file", async () => {
    const { calls } = await runts("update", "--memory", "-1", "--pids-limit=-1", "box");
    const resources = { memory: { limit: -1n }, pids: { limit: -1n } };
    expect(calls).toEqual([["update", "box", expect.objectContaining({ resources })]]);
    for (const [given, file] of [
      ["-", "-"],
      ["/r.json", "/r.json"],
      ["r.json", join(process.cwd(), "r.json")],
    ] as const) {
      expect((await runts("update", "--memory=5", "-r", given, "box")).calls).toEqual([
        ["update", "box", { file }],
      ]);
    }
    const rdt = await runts("update", "--l3-cache-schema", "L3:0=f", "--mem-bw-schema", "MB:0=20", "box");
    const intelRdt = { l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20" };
    expect(rdt.calls).toMatchObject([["update", "box", { resources: {}, intelRdt }]]);
    for (const [option, value] of [
      ["--mem-bw-schema", "L3:0=f"],
      ["--mem-bw-schema", "MB:0=20\nL3:0=f"],
      ["--l3-cache-schema", "L3:0=f\nMB:0=20"],
    ] as const) {
      const refused = await runts("update", option, value, "box");
      expect(refused).toMatchObject({ code: 1, calls: [] });
      expect(refused.err).toContain(`runts: ${option}: must `);
    }
  });

  it("state: prints JSON indented by two, in runc's order, and makes no directory", async () => {
    const { out } = await runts("state", "box");
    expect(out).toMatch(/^\{\n {2}"ociVersion": "1.3.0",\n {2}"id": "box",\n[\s\S]*"owner": "root"\n\}\n$/);
    expect(JSON.parse(out)).toEqual(sampleState);
    expect(existsSync(join(directory, "root"))).toBe(false);
  });

  it("list: prints a table, JSON or ids", async () => {
    expect((await runts("list")).out).toContain("box         42 ");
    written.out = "";
    expect(JSON.parse((await runts("list", "-f", "json")).out)).toEqual([sampleState]);
    written.out = "";
    expect((await runts("list", "-q")).out).toBe("box\n");
    expect(await runts("list", "--format=xml")).toMatchObject({
      code: 1,
      err: "runts: invalid format option\n",
    });
  });

  it("create, run: a pidfd socket and another config, by absolute paths", async () => {
    const argv = ["--pidfd-socket", "/run/p", "--config=other.json", "box"];
    const expected = { pidfdSocket: "/run/p", configFile: join(process.cwd(), "other.json") };
    for (const command of ["create", "run"]) {
      expect((await runts(command, ...argv)).calls).toEqual([[command, expect.objectContaining(expected)]]);
      expect((await runts(command, "-f", "/c.json", "box")).calls).toEqual([
        [command, expect.objectContaining({ configFile: "/c.json" })],
      ]);
    }
  });

  it("exec: a pidfd socket, and labels", async () => {
    const argv = ["--pidfd-socket", "s", "--process-label", "u:r:t:s0", "--apparmor=p", "box", "true"];
    const overrides = { selinuxLabel: "u:r:t:s0", apparmorProfile: "p" };
    expect((await runts("exec", ...argv)).calls).toEqual([
      [
        "exec",
        expect.objectContaining({
          pidfdSocket: join(process.cwd(), "s"),
          overrides: expect.objectContaining(overrides),
        }),
        false,
      ],
    ]);
    const [, plain] = (await runts("exec", "box", "true")).calls[0] ?? [];
    expect(plain).not.toHaveProperty("pidfdSocket");
    expect(plain).not.toHaveProperty("overrides.selinuxLabel");
    expect(plain).not.toHaveProperty("overrides.apparmorProfile");
  });

  it("ps: prints pids as JSON, and refuses another format", async () => {
    for (const argv of [
      ["ps", "--format", "json", "box"],
      ["ps", "-f=json", "box"],
      ["ps", "-f=json", "box", "-f"],
    ]) {
      written.out = "";
      expect(await runts(...argv)).toMatchObject({ code: 0, calls: [["ps", "box"]], out: "[42,43]\n" });
    }
    expect(await runts("ps", "-f", "xml", "box")).toMatchObject({ code: 1, calls: [] });
  });

  it("ps: gives ps its options, -h among them", async () => {
    expect(await runts("ps", "box", "-o", "pid", "-h")).toMatchObject({ calls: [["ps", "box"]] });
    expect((await runts("ps", "-h", "box")).calls).toEqual([]);
  });

  it("features: prints JSON, without an operation", async () => {
    const { out, calls } = await runts("features");
    expect(calls).toEqual([]);
    expect(JSON.parse(out)).toMatchObject({ ociVersionMin: "1.0.0", ociVersionMax: "1.3.0" });
  });

  it("spec: writes config.json once", async () => {
    expect((await runts("spec", "--bundle", directory)).code).toBe(0);
    expect(readFileSync(join(directory, "config.json"), "utf8")).toMatch(/^\{\n\t"ociVersion": "1.3.0",\n/);
    const again = await runts("spec", "--bundle", directory);
    expect(again).toMatchObject({ code: 1, err: "runts: File config.json exists. Remove it first\n" });
  });

  it("spec --file: below the bundle, and a file that is there is replaced", async () => {
    for (const file of ["other.json", join(directory, "third.json")]) {
      for (let round = 0; round < 2; round += 1) {
        expect((await runts("spec", "--bundle", directory, "-f", file)).code).toBe(0);
      }
    }
    for (const name of ["other.json", "third.json"]) {
      expect(readFileSync(join(directory, name), "utf8")).toMatch(/^\{\n\t"ociVersion"/);
    }
    expect(existsSync(join(directory, "config.json"))).toBe(false);
  });

  it("spec: names a directory that is not there", async () => {
    const { code, err } = await runts("spec", "--bundle", join(directory, "no"));
    expect(code).toBe(1);
    expect(err).toMatch(/^runts: write config.json: .*no such file or directory/);
  });
});

describe("global options", () => {
  it.each([
    [["--rootless", "true"], "true"],
    [["--rootless=false"], "false"],
    [["--rootless=0"], "false"],
    [["--rootless", "auto"], "auto"],
    [[], "auto"],
  ])("%j", async (argv, rootless) => {
    const { contexts } = await runts(...argv, "state", "box");
    expect(contexts).toEqual([{ root: join(directory, "root"), rootless }]);
  });

  it.each([
    ["criu-dev", "criu-dev"],
    ["/opt/criu", "/opt/criu"],
    ["./criu", join(process.cwd(), "criu")],
  ])("--criu %s: a name in PATH, or a path that no change of directory changes", (given, criu) => {
    const globals = parseArguments(["--criu", given, "state"], { options: globalOptions });
    expect(contextFrom(globals, openLog({ format: "text", debug: false }), false)).toMatchObject({ criu });
  });

  it("takes crun's words for files of the log, and for who makes cgroups", async () => {
    const log = join(directory, "log");
    await runts("--log", `file:${log}`, "--cgroup-manager=cgroupfs", "nothing");
    expect(readFileSync(log, "utf8")).toMatch(/level=error msg="No help topic/);
  });

  it.each([
    [[], true],
    [["--log-level", "debug"], true],
    [["--log-level=info"], true],
    [["--log-level=warning"], true],
    [["--log-level=error"], false],
    [["--log-level=error", "--debug"], true],
  ])("%j: warnings are logged: %s", async (argv, logged) => {
    const kill = () => {
      throw new RuntsError("no");
    };
    const warning = { ...recordingOperations([sampleState]).operations, kill };
    await runCommandLine([...argv, "kill", "--regex", "box"], warning);
    expect(written.err.includes("level=warning")).toBe(logged);
  });

  it("takes /run/runts for root of the host, whatever XDG_RUNTIME_DIR says; XDG_RUNTIME_DIR for others", async () => {
    vi.stubEnv("XDG_RUNTIME_DIR", directory);
    vi.stubEnv("USER", "someone");
    const { operations, contexts } = recordingOperations();
    for (const uid of [0, 1000]) {
      substituteKernel((name, args) => (name === "geteuid" ? uid : callKernel(name, args)));
      await runCommandLine(["state", "box"], operations);
      substituteKernel(undefined);
    }
    const isHost = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
    expect(contexts.map(({ root }) => root)).toEqual([
      isHost ? "/run/runts" : `${directory}/runts`,
      `${directory}/runts`,
    ]);
  });

  it.each([
    [["--systemd-cgroup"], { systemdCgroup: true, noCgroup: false }],
    [["--cgroup-manager", "systemd"], { systemdCgroup: true, noCgroup: false }],
    [["--cgroup-manager", "disabled", "--systemd-cgroup"], { systemdCgroup: false, noCgroup: true }],
    [["--cgroup-manager", "cgroupfs"], { systemdCgroup: false, noCgroup: false }],
  ])("%j says who makes the cgroups", async (argv, expected) => {
    const kill = vi.fn();
    await runCommandLine([...argv, "kill", "box"], { ...recordingOperations().operations, kill });
    expect(kill.mock.calls[0]?.[0]).toMatchObject(expected);
  });

  it.each([
    [["--root", "/"], 1, "--root must not be the root directory"],
    [["--root", "/../."], 1, "--root must not be the root directory"],
    [["--rootless", "maybe"], 1, 'invalid value "maybe" for flag -rootless'],
    [["--cgroup-manager", "none"], 1, "invalid cgroup-manager: none"],
    [["--log-format", "xml"], 1, "invalid log-format: xml"],
    [["--log-level", "trace"], 1, "invalid log-level: trace"],
    [["--log", "journald:box"], 1, "--log journald:box: only files are supported"],
    [["--log", "syslog:box"], 1, "--log syslog:box: only files are supported"],
    [["--bogus"], 1, "flag provided but not defined: -bogus"],
  ])("%j is refused", async (argv, code, message) => {
    const result = await runts(...argv, "state", "box");
    expect(result).toMatchObject({ code, calls: [] });
    expect(result.err).toContain(`runts: ${message}`);
  });
});

describe("failures", () => {
  const failing = (error: unknown) => {
    const { operations } = recordingOperations();
    return { ...operations, start: () => Promise.reject(error) };
  };

  it.each([
    [["nothing"], 3, "No help topic for 'nothing'"],
    [["scale", "--help"], 3, "No help topic for 'scale'"],
    [["start"], 1, '"start" requires exactly 1 argument'],
    [["start", "a", "b"], 1, '"start" requires exactly 1 argument'],
    [["kill"], 1, '"kill" requires a minimum of 1 argument'],
    [["list", "extra"], 1, '"list" requires exactly 0 arguments'],
    [["create", "--image-path", "s", "id"], 1, "flag provided but not defined: -image-path"],
    [["kill", "--regex", "("], 1, 'invalid regular expression "("'],
    [["delete", "--regex", "("], 1, 'invalid regular expression "("'],
    [["events", "--interval", "5", "box"], 1, 'invalid value "5" for flag -interval: parse error'],
    [["events", "--interval=", "box"], 1, 'invalid value "" for flag -interval: parse error'],
  ])("%j", async (argv, code, message) => {
    const result = await runts(...argv);
    expect(result).toMatchObject({ code, calls: [], out: "" });
    expect(result.err).toMatch(/^runts: .*\nRun "runts .*--help" for usage\.\n$/);
    expect(result.err).toContain(message);
  });

  it("gives the exit code of the error, and one line", async () => {
    const error = new RuntsError("container does not exist", { exitCode: 255 });
    expect(await runCommandLine(["start", "box"], failing(error))).toBe(255);
    expect(written.err).toBe("runts: container does not exist\n");
  });

  it("calls an unexpected exception an internal error, with a stack under --debug, which no other error has", async () => {
    expect(await runCommandLine(["start", "box"], failing(new TypeError("x is not a function")))).toBe(1);
    expect(written.err).toBe("runts: internal error: x is not a function\n");
    await runCommandLine(["--debug", "start", "box"], failing(new TypeError("x is not a function")));
    expect(written.err).toContain("TypeError: x is not a function\n    at ");
    forgetWritten();
    await runCommandLine(["--debug", "start", "box"], failing(new RuntsError("container does not exist")));
    expect(written.err).toMatch(/\nrunts: container does not exist\n$/);
    expect(written.err).not.toContain("    at ");
  });

  it("writes no character that a terminal acts on, neither of a message nor, under --debug, of a stack", async () => {
    const name = "\x1b[31m\x9b\u202e\u2028\nrunts: forged";
    const shown = "\\x1b[31m\\x9b\\u202e\\u2028\\nrunts: forged";
    const error = new RuntsError(`open ${name}: ENOENT`);
    expect(error.message).toBe(`open ${shown}: ENOENT`);
    await runCommandLine(["start", "box"], failing(error));
    expect(written.err).toBe(`runts: open ${shown}: ENOENT\n`);
    forgetWritten();
    await runCommandLine(["--debug", "start", "box"], failing(new TypeError(name)));
    expect(written.err).toContain(
      `runts: internal error: ${shown}\nTypeError: \\x1b[31m\\x9b\\u202e\\u2028\n`,
    );
    expect(written.err.replaceAll("\n", "")).toMatch(/^[ -~]*$/);
  });

  it("logs usage errors too, as the one JSON object that podman wants", async () => {
    const log = join(directory, "log");
    await runts("--log", log, "--log-format=json", "start");
    expect(JSON.parse(readFileSync(log, "utf8"))).toMatchObject({ level: "error" });
  });
});
