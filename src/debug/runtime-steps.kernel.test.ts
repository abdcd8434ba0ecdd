import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { substituteKernel } from "../../bindings/ffi/syscall.ts";
import { mkdirSync } from "../../bindings/linux/directories.ts";
import { readFileSync, renameSync, unlinkSync, writeFileSync } from "../../bindings/linux/files.ts";
import { StubProcesses } from "../../bindings/stub/stub-processes.ts";
import { loggingKernel } from "./runtime-steps.ts";
import { StepLog } from "./steps.ts";

let folder: string;
let lines: (readonly [message: string, pointer: string | undefined])[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "runts-steps-"));
  lines = [];
  const silent = () => undefined;
  const debug = (message: string, pointer?: string) => {
    lines.push([message, pointer]);
  };
  const steps = new StepLog({ debug, info: silent, warn: silent, error: silent });
  substituteKernel(loggingKernel(steps, new StubProcesses()));
});

afterEach(() => {
  substituteKernel(undefined);
  rmSync(folder, { recursive: true });
});

it("logs the purpose of calls that change something, once for consecutive calls", () => {
  withPurpose("/hostname", "write the name", () => {
    writeFileSync(`${folder}/name.new`, "box");
    renameSync(`${folder}/name.new`, `${folder}/name`);
  });
  withPurpose("", "read the name", () => readFileSync(`${folder}/name`));
  writeFileSync(`${folder}/output`, "without a purpose");
  expect(lines).toEqual([["runtime: write the name", "/hostname"]]);
});

it("logs a failure, unless it means that there is nothing to do", () => {
  const missing = `${folder}/missing`;
  expect(() => withPurpose("", "make it", () => mkdirSync(`${missing}/below`))).toThrow("ENOENT");
  expect(() => withPurpose("", "remove it", () => unlinkSync(missing))).toThrow("ENOENT");
  expect(lines).toEqual([["runtime: make it: mkdirat: no such file or directory", ""]]);
});

it("gives all steps of a hook to the hook's property", () => {
  withPurpose("/hooks/poststop/1", "run the poststop hook", () =>
    withPurpose("/process/oomScoreAdj", "set oom_score_adj", () => writeFileSync(`${folder}/x`, "1")),
  );
  expect(lines).toEqual([["runtime: set oom_score_adj", "/hooks/poststop/1"]]);
});
