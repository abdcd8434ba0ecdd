import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { runCommandLine } from "../command-line.ts";
import { createOptionsFrom } from "../options/create-options.ts";
import { parsed } from "../parsed.test-support.ts";
import { forgetWritten, written } from "../written.test-support.ts";
import { createCommand } from "./create.ts";
import { runCommand, runOptionsFrom } from "./run.ts";

vi.mock("../../../bindings/linux/files.ts", async (original) => {
  const { capturingFiles } = await import("../written.test-support.ts");
  return capturingFiles(original);
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-create-"));
  forgetWritten();
});
afterEach(() => rmSync(directory, { recursive: true }));

const defaults = {
  id: "box",
  bundle: process.cwd(),
  noPivot: false,
  noNewKeyring: false,
  preserveFds: 0,
};

function create(...argv: string[]) {
  const { positionals, options } = parsed(createCommand, ...argv);
  return createOptionsFrom(positionals[0], options);
}

function run(...argv: string[]) {
  const { positionals, options } = parsed(runCommand, ...argv);
  return runOptionsFrom(positionals[0], options);
}

describe("create", () => {
  it("takes its options, and makes paths absolute", () => {
    const paths = ["-b", "bundle", "--pid-file", "made/pid", "--console-socket=/run/s"];
    const flags = ["--no-pivot", "-no-new-keyring", "--no-subreaper", "--preserve-fds", "2"];
    expect(create(...paths, ...flags, "box")).toEqual({
      id: "box",
      bundle: join(process.cwd(), "bundle"),
      pidFile: join(process.cwd(), "made/pid"),
      consoleSocket: "/run/s",
      noPivot: true,
      noNewKeyring: true,
      preserveFds: 2,
    });
  });

  it("uses the current directory as the default bundle", () => {
    expect(create("box")).toEqual(defaults);
  });

  it("makes the state root, and no directory for the pid file", async () => {
    const root = join(directory, "root");
    const argv = ["create", "-b", join(directory, "none"), "--pid-file", join(directory, "made/pid"), "box"];
    expect(await runCommandLine(["--root", root, ...argv], [createCommand])).toBe(1);
    expect(written.err).toMatch(/^runts: .*no such file or directory/);
    expect([existsSync(root), existsSync(join(directory, "made"))]).toEqual([true, false]);
  });
});

describe("run", () => {
  it("has options of its own", () => {
    expect(run("-d", "--keep", "--no-subreaper", "-b=/b", "box")).toEqual({
      ...defaults,
      bundle: "/b",
      detach: true,
      keep: true,
      noSubreaper: true,
    });
    expect(run("--seccomp-trace", "box")).toMatchObject({ detach: false, seccompTrace: true });
  });

  it("refuses --seccomp-trace with --detach", () => {
    expect(() => run("--seccomp-trace", "-d", "box")).toThrow("--seccomp-trace can't be used with --detach");
  });

  it("takes what to record, and makes its path absolute", () => {
    expect(run("--seccomp-record", "p.json", "box")).toMatchObject({
      seccompRecord: { file: join(process.cwd(), "p.json"), merge: false },
    });
    expect(run("--seccomp-record=/p", "--seccomp-merge", "--seccomp-record-by=notify", "box")).toMatchObject({
      seccompRecord: { file: "/p", merge: true, by: "notify" },
    });
    for (const [words, reason] of [
      [["--seccomp-merge"], "--seccomp-merge needs --seccomp-record"],
      [["--seccomp-record-by", "bpf"], "--seccomp-record-by needs --seccomp-record"],
      [
        ["--seccomp-record", "/p", "--seccomp-record-by", "strace"],
        '--seccomp-record-by "strace": must be bpf or notify',
      ],
      [["--seccomp-record", "/p", "--seccomp-trace"], "--seccomp-trace can't be used with --seccomp-record"],
    ] as const)
      expect(() => run(...words, "box")).toThrow(reason);
  });
});

describe.each([
  ["create", create],
  ["run", run],
])("%s", (_name, options) => {
  it("takes a pidfd socket and another config, and makes their paths absolute", () => {
    expect(options("--pidfd-socket", "/run/p", "--config=other.json", "box")).toMatchObject({
      pidfdSocket: "/run/p",
      configFile: join(process.cwd(), "other.json"),
    });
    expect(options("-f", "/c.json", "box")).toMatchObject({ configFile: "/c.json" });
  });
});
