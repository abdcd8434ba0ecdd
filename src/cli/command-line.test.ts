import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { callKernel, substituteKernel } from "../../bindings/ffi/syscall.ts";
import type { GlobalOptions } from "../container/context.ts";
import { RuntsError } from "../errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { runCommandLine } from "./command-line.ts";
import { commands } from "./commands.ts";
import { noArguments } from "./options/shared-options.ts";
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

/** Runs the program with an empty state directory: there is no container. */
async function runts(...argv: string[]) {
  const code = await runCommandLine(["--root", join(directory, "root"), ...argv], commands);
  return { code, ...written };
}

/** A list of one command, `probe`, that runs a function. */
function probe(run: (context: GlobalOptions) => number | Promise<number>): Command[] {
  return [
    defineCommand({
      name: "probe",
      summary: "",
      positionals: noArguments,
      options: {},
      description: [],
      examples: [],
      run,
    }),
  ];
}

/** The context that global options give to a command; undefined if they are refused. */
async function contextOf(...globals: string[]): Promise<GlobalOptions | undefined> {
  let given: GlobalOptions | undefined;
  const remember = (context: GlobalOptions) => {
    given = context;
    return 0;
  };
  await runCommandLine([...globals, "probe"], probe(remember));
  return given;
}

describe("commands", () => {
  it("returns the exit code of the command", async () => {
    expect(
      await runCommandLine(
        ["probe"],
        probe(() => 7),
      ),
    ).toBe(7);
    expect(
      await runCommandLine(
        ["probe"],
        probe(async () => 8),
      ),
    ).toBe(8);
  });

  it.each([
    ["state", "box"],
    ["start", "box"],
    ["kill", "box"],
    ["pause", "box"],
    ["resume", "box"],
    ["ps", "box"],
    ["update", "--pids-limit=1", "box"],
    ["events", "--stats", "box"],
    ["exec", "box", "true"],
    ["mounts", "list", "box"],
    ["mounts", "add", "box", "list.json"],
    ["devices", "list", "box"],
    ["devices", "add", "box", "/dev/null"],
    ["checkpoint", "box"],
    ["delete", "box"],
  ])("%j without a container: fails with runc's message, and makes no state directory", async (...argv) => {
    const { code, out, err } = await runts(...argv);
    expect([code, out]).toEqual([argv[0] === "exec" ? 255 : 1, ""]);
    expect(err).toMatch(/^runts: .*container does not exist\n$/);
    expect(existsSync(join(directory, "root"))).toBe(false);
  });

  it("delete --force without a container: succeeds", async () => {
    expect(await runts("delete", "--force", "box")).toEqual({ code: 0, out: "", err: "" });
  });

  it.each(["list", "ps"])("%s: refuses an unknown format", async (name) => {
    const { code, err } = await runts(name, "--format=xml", ...(name === "ps" ? ["box"] : []));
    expect([code, err]).toEqual([1, "runts: invalid format option\n"]);
  });

  it("features: prints JSON", async () => {
    const { out } = await runts("features");
    expect(JSON.parse(out)).toMatchObject({ ociVersionMin: "1.0.0", ociVersionMax: "1.3.0" });
  });

  it("spec: writes config.json, but does not replace one", async () => {
    expect((await runts("spec", "--bundle", directory)).code).toBe(0);
    expect(readFileSync(join(directory, "config.json"), "utf8")).toMatch(/^\{\n\t"ociVersion": "1.3.0",\n/);
    const again = await runts("spec", "--bundle", directory);
    expect(again).toMatchObject({ code: 1, err: "runts: File config.json exists. Remove it first\n" });
  });

  it("spec --file: a path below the bundle, or an absolute one; replaces an existing file", async () => {
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

  it("spec: names a directory that does not exist", async () => {
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
    [["--rootless="], "auto"],
    [[], "auto"],
  ])("%j", async (argv, rootless) => {
    const root = join(directory, "root");
    expect(await contextOf("--root", root, ...argv)).toMatchObject({ root, rootless });
  });

  it.each([
    ["criu-dev", "criu-dev"],
    ["/opt/criu", "/opt/criu"],
    ["./criu", join(process.cwd(), "criu")],
  ])("--criu %s: a name in PATH, or a path, made absolute", async (given, criu) => {
    expect(await contextOf("--criu", given)).toMatchObject({ criu });
  });

  it("takes crun's --log file:PATH and --cgroup-manager", async () => {
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
    const warn = ({ log }: GlobalOptions) => {
      log.warn("no");
      return 0;
    };
    await runCommandLine([...argv, "probe"], probe(warn));
    expect(written.err.includes("level=warning")).toBe(logged);
  });

  it("default --root: /run/runts for the host's root, also with XDG_RUNTIME_DIR; $XDG_RUNTIME_DIR/runts for others", async () => {
    vi.stubEnv("XDG_RUNTIME_DIR", directory);
    vi.stubEnv("USER", "someone");
    const roots: unknown[] = [];
    for (const uid of [0, 1000]) {
      substituteKernel((name, args) => (name === "geteuid" ? uid : callKernel(name, args)));
      roots.push((await contextOf())?.root);
      substituteKernel(undefined);
    }
    const isHost = /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
    expect(roots).toEqual([isHost ? "/run/runts" : `${directory}/runts`, `${directory}/runts`]);
  });

  it.each([
    [["--systemd-cgroup"], { systemdCgroup: true, noCgroup: false }],
    [["--cgroup-manager", "systemd"], { systemdCgroup: true, noCgroup: false }],
    [["--cgroup-manager", "disabled", "--systemd-cgroup"], { systemdCgroup: false, noCgroup: true }],
    [["--cgroup-manager", "cgroupfs"], { systemdCgroup: false, noCgroup: false }],
    [["--cgroup-manager="], { systemdCgroup: false, noCgroup: false }],
  ])("%j: how cgroups are created", async (argv, expected) => {
    expect(await contextOf(...argv)).toMatchObject(expected);
  });

  it.each([
    [["--root", "/"], 1, "--root must not be the root directory"],
    [["--root", "/../."], 1, "--root must not be the root directory"],
    [["--rootless", "maybe"], 1, 'invalid value "maybe" for flag -rootless'],
    [["--cgroup-manager", "none"], 1, "invalid cgroup-manager: none"],
    [["--log-format", "xml"], 1, "invalid log-format: xml"],
    [["--log-level", "trace"], 1, "invalid log-level: trace"],
    [
      ["--allow-annotation", "run.oci.other"],
      1,
      "--allow-annotation run.oci.other: must be one of run.oci.hooks.stdout",
    ],
    [["--bogus"], 1, "flag provided but not defined: -bogus"],
  ])("%j is refused", async (argv, code, message) => {
    const run = vi.fn(() => 0);
    expect(await runCommandLine([...argv, "probe"], probe(run))).toBe(code);
    expect(run).not.toHaveBeenCalled();
    expect(written.err).toContain(`runts: ${message}`);
  });
});

describe("failures", () => {
  const failing = (error: unknown) => probe(() => Promise.reject(error));

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
    expect(result).toMatchObject({ code, out: "" });
    expect(result.err).toMatch(/^runts: .*\nRun "runts .*--help" for usage\.\n$/);
    expect(result.err).toContain(message);
  });

  it("returns the exit code of the error, and prints one line", async () => {
    const error = new RuntsError("container does not exist", { exitCode: 255 });
    expect(await runCommandLine(["probe"], failing(error))).toBe(255);
    expect(written.err).toBe("runts: container does not exist\n");
  });

  it("reports an unexpected exception as an internal error; only that has a stack, under --debug", async () => {
    expect(await runCommandLine(["probe"], failing(new TypeError("x is not a function")))).toBe(1);
    expect(written.err).toBe("runts: internal error: x is not a function\n");
    await runCommandLine(["--debug", "probe"], failing(new TypeError("x is not a function")));
    expect(written.err).toContain("TypeError: x is not a function\n    at ");
    forgetWritten();
    await runCommandLine(["--debug", "probe"], failing(new RuntsError("container does not exist")));
    expect(written.err).toMatch(/\nrunts: container does not exist\n$/);
    expect(written.err).not.toContain("    at ");
  });

  it("escapes control characters in messages and, under --debug, in stacks", async () => {
    const name = "\x1b[31m\x9b\u202e\u2028\nrunts: forged";
    const shown = "\\x1b[31m\\x9b\\u202e\\u2028\\nrunts: forged";
    const error = new RuntsError(`open ${name}: ENOENT`);
    expect(error.message).toBe(`open ${shown}: ENOENT`);
    await runCommandLine(["probe"], failing(error));
    expect(written.err).toBe(`runts: open ${shown}: ENOENT\n`);
    forgetWritten();
    await runCommandLine(["--debug", "probe"], failing(new TypeError(name)));
    expect(written.err).toContain(
      `runts: internal error: ${shown}\nTypeError: \\x1b[31m\\x9b\\u202e\\u2028\n`,
    );
    expect(written.err.replaceAll("\n", "")).toMatch(/^[ -~]*$/);
  });

  it("logs a usage error as one JSON object, as podman requires", async () => {
    const log = join(directory, "log");
    await runts("--log", log, "--log-format=json", "start");
    expect(JSON.parse(readFileSync(log, "utf8"))).toMatchObject({ level: "error" });
  });
});
