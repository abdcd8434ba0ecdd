import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { RUNTIME } from "../harness/runtime.ts";
import { FAULTY } from "./host.ts";

const OPTION = "--fault=";

function stderrOf(file: string): string {
  try {
    execFileSync(file, [`${OPTION}{"at":1,"mode":"fail","errno":5,"report":"/dev/null"}`, "state", "x"], {
      env: {},
      stdio: ["ignore", "ignore", "pipe"],
      encoding: "utf8",
    });
  } catch (error) {
    return error instanceof Error && "stderr" in error ? String(error.stderr) : "";
  }
  return "";
}

const TIMEOUT = { timeout: 60_000 };

test("state --fault: accepted by the test build, unknown to the product", TIMEOUT, () => {
  expect(stderrOf(RUNTIME)).toMatch(/^runts: [^\n]*fault/);
  expect(stderrOf(FAULTY)).toMatch(/^runts: [^\n]*(EIO|input\/output error)/);
});

test("the product contains no code of the test build", TIMEOUT, () => {
  const parts = (file: string) =>
    [OPTION, "kill-runtime"].filter((text) => readFileSync(file, "latin1").includes(text));
  for (const name of ["runts.mjs", "runts-engine"]) expect(parts(join(dirname(RUNTIME), name))).toEqual([]);
  expect(parts(join(dirname(FAULTY), "runts-engine"))).toEqual([OPTION, "kill-runtime"]);
});
