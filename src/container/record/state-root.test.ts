import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { callKernel, substituteKernel } from "../../../bindings/ffi/syscall.ts";
import { openLog } from "../../log.ts";
import { checkStateRoot, prepareStateRoot } from "./state-root.ts";
import { freshDirectory } from "./status.test-support.ts";

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

describe("a state root that was missing when it was looked for", () => {
  const prepare = (root: string) => {
    const log = openLog({ format: "text", debug: false });
    prepareStateRoot({ root, rootless: "auto", systemdCgroup: false, noCgroup: false, log });
  };

  /** Another process makes the directory before the runtime does. */
  function beforeMkdir(action: () => void): void {
    let isDone = false;
    substituteKernel((name, args) => {
      if (name === "mkdirat" && !isDone) {
        isDone = true;
        action();
      }
      return callKernel(name, args);
    });
    onTestFinished(() => substituteKernel(undefined));
  }

  it("can be entered only by its user", () => {
    const root = `${freshDirectory()}/a/root`;
    prepare(root);
    expect(statSync(root).mode & 0o7777).toBe(0o700);
    expect(() => prepare(root)).not.toThrow();
  });

  it("is refused if others can write to the directory that exists by now", () => {
    const root = `${freshDirectory()}/root`;
    beforeMkdir(() => {
      mkdirSync(root);
      chmodSync(root, 0o777);
    });
    expect(() => prepare(root)).toThrow(/^--root \S+ can be written by other users: whoever/);
  });

  it.skipIf(process.getuid?.() !== 0)("is refused if it belongs to another user by now", () => {
    const root = `${freshDirectory()}/root`;
    beforeMkdir(() => {
      mkdirSync(root);
      chownSync(root, 1234, 0);
    });
    expect(() => prepare(root)).toThrow(/belongs to user 1234/);
  });

  it("is refused if there is a link by now", () => {
    const directory = freshDirectory();
    const root = `${directory}/root`;
    mkdirSync(`${directory}/target`);
    beforeMkdir(() => symlinkSync("target", root));
    expect(() => prepare(root)).toThrow(expect.objectContaining({ code: "ENOTDIR" }));
  });
});
