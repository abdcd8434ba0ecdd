import { chmodSync, chownSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { freshDirectory } from "./state.test-support.ts";
import { checkStateRoot } from "./state-root.ts";

describe("the state root", () => {
  it.each([0o700, 0o711, 0o755, 0o1700, 0o770])("may have mode %o", (mode) => {
    const root = freshDirectory();
    chmodSync(root, mode);
    expect(() => checkStateRoot(root)).not.toThrow();
  });

  it.each([0o777, 0o1777, 0o702, 0o703])("must not have mode %o", (mode) => {
    const root = freshDirectory();
    chmodSync(root, mode);
    expect(() => checkStateRoot(root)).toThrow(/^--root \S+ can be written by other users: whoever/);
  });

  it("may be missing", () => {
    expect(() => checkStateRoot(`${freshDirectory()}/missing`)).not.toThrow();
  });

  it.skipIf(process.getuid?.() !== 0)("must belong to its user or root, and to no foreign group", () => {
    const root = freshDirectory();
    chownSync(root, 1234, 0);
    expect(() => checkStateRoot(root)).toThrow(/belongs to user 1234/);
    chownSync(root, 0, 1234);
    expect(() => checkStateRoot(root)).not.toThrow();
    chmodSync(root, 0o770);
    expect(() => checkStateRoot(root)).toThrow(/can be written by other users/);
    process.setegid?.(1234);
    onTestFinished(() => process.setegid?.(0));
    expect(() => checkStateRoot(root)).toThrow(/can be written by other users/);
  });
});
