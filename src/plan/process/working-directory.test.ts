import { describe, expect, it } from "vitest";
import type { Reply } from "../../../bindings/stub/program.ts";
import type { Process } from "../../spec/types.ts";
import { only, summary, testPlan } from "../plan.test-support.ts";
import { enterWorkingDirectory, makeWorkingDirectory, verifyWorkingDirectory } from "./working-directory.ts";

const sh: Process = { cwd: "/work", args: ["sh", "-c", "true"] };

describe("the working directory", () => {
  it("is created, and entered as root, or as the user if root may not", () => {
    const { program, plan } = testPlan({});
    makeWorkingDirectory(program, plan.root, { ...sh, cwd: "/a/../work/" });
    expect(summary(program.operations)).toContain("mkdirat work ?failed");
    const entered = enterWorkingDirectory(program, plan.root, { ...sh, cwd: "/a/../work/" });
    expect(program.operations.at(-1)).toMatchObject({ args: ["/work"], tolerate: ["EACCES"], into: entered });
    verifyWorkingDirectory(program, sh, entered);
    const [, again] = only(program, "chdir");
    expect(again).toMatchObject({ args: ["/work"], tolerate: [], guard: { on: entered, is: "failed" } });
    expect(new Set(program.operations.map(({ pointer }) => pointer))).toEqual(new Set(["/process/cwd"]));
  });

  it("must have a path in the container (CVE-2024-21626)", () => {
    const { program, plan } = testPlan({});
    const check = verifyWorkingDirectory(program, sh, plan.root);
    const reply = (cwd: string): Reply => ({ results: [], outputs: [Buffer.from(cwd)], failure: undefined });
    expect(() => check(reply("/work\0"))).not.toThrow();
    expect(() => check(reply("(unreachable)/\0"))).toThrow("outside of the container");
    expect(() => check({ results: [], outputs: [], failure: undefined })).toThrow(
      expect.objectContaining({ pointer: "/process/cwd" }),
    );
  });
});
