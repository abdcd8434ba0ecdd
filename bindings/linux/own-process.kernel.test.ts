import { mkdtempSync, realpathSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { loadLibrary } from "../ffi/koffi.ts";
import {
  adoptEnvironment,
  effectiveGid,
  effectiveUid,
  environment,
  exportEnvironment,
  ownPid,
  wholeEnvironment,
  workingDirectory,
} from "./own-process.ts";

test("pid and IDs agree with the engine", () => {
  expect(ownPid()).toBe(process.pid);
  expect([effectiveUid(), effectiveGid()]).toEqual([process.geteuid?.(), process.getegid?.()]);
});

describe("the working directory", () => {
  const before = process.cwd();
  afterEach(() => process.chdir(before));

  test("follows chdir", () => {
    const directory = realpathSync(mkdtempSync(join(tmpdir(), "runts-own-")));
    expect(workingDirectory()).toBe(before);
    process.chdir(directory);
    expect(workingDirectory()).toBe(directory);
    rmdirSync(directory);
    expect(workingDirectory).toThrow("ENOENT: no such file or directory, getcwd");
  });
});

describe("the environment", () => {
  const before = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  afterAll(() => {
    adoptEnvironment(before);
    exportEnvironment();
  });

  test("is the engine's until another is adopted", () => {
    process.env.RUNTS_TEST_ONE = "one";
    expect([environment("RUNTS_TEST_ONE"), environment("RUNTS_TEST_TWO")]).toEqual(["one", undefined]);
    expect(wholeEnvironment()).toBe(process.env);
    exportEnvironment();
    expect(inLibraries("RUNTS_TEST_ONE")).toBe("one");
  });

  test("is the adopted one only, for libraries too", () => {
    adoptEnvironment(["A=1", "B=", "A=2", "C=x=y", "no variable", "=", "Ü=ü"]);
    const names = ["A", "B", "C", "Ü", "RUNTS_TEST_ONE", "PATH", "no variable", "toString"];
    const values = ["1", "", "x=y", "ü", ...Array(4).fill(undefined)];
    expect(names.map(environment)).toEqual(values);
    expect(wholeEnvironment()).toEqual({ A: "1", B: "", C: "x=y", Ü: "ü" });
    exportEnvironment();
    expect(names.map(inLibraries)).toEqual(values);
    adoptEnvironment([]);
    expect([environment("A"), wholeEnvironment()]).toEqual([undefined, {}]);
  });
});

/** char *getenv(const char *name): getenv(3) */
function inLibraries(name: string): string | undefined {
  const value: unknown = loadLibrary(null).func("const char *getenv(const char *name)")(name);
  return typeof value === "string" ? value : undefined;
}
