import { describe, expect, it } from "vitest";
import {
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from "../../bindings/abi/fcntl.ts";
import { howOf, only, summary, testPlan } from "./plan.test-support.ts";
import { attach, attachFile, cleanPath, components, openInRoot, openOrCreate } from "./rootfs-paths.ts";

describe("cleanPath", () => {
  it.each([
    ["/", "/"],
    ["", "/"],
    ["proc", "/proc"],
    ["/a//b/./c/", "/a/b/c"],
    ["/a/b/../c", "/a/c"],
    ["/../../etc", "/etc"],
    ["../..", "/"],
    ["/...", "/..."],
  ])("%j is %s", (path, clean) => {
    expect(cleanPath(path)).toBe(clean);
    expect(components(path)).toEqual(clean.split("/").filter((part) => part !== ""));
  });
});

describe("openInRoot", () => {
  it("opens below the root only, without magic links", () => {
    const { program, plan } = testPlan({});
    openInRoot(program, plan.root, "/etc/../etc/hosts");
    const [operation] = program.operations;
    expect(operation?.args.slice(0, 2)).toEqual([plan.root, "etc/hosts"]);
    expect(howOf(operation).resolve).toBe(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    expect(howOf(operation).flags & O_PATH).toBe(O_PATH);
  });

  it("refuses symbolic links if asked to", () => {
    const { program, plan } = testPlan({});
    openInRoot(program, plan.root, "/proc", { noSymlinks: true });
    expect(howOf(program.operations[0]).resolve).toBe(RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  });

  it("opens the root itself by a dot", () => {
    const { program, plan } = testPlan({});
    openInRoot(program, plan.root, "/");
    expect(program.operations[0]?.args[1]).toBe(".");
  });
});

describe("openOrCreate", () => {
  it("makes the directories of a missing path, then opens it", () => {
    const { program, plan } = testPlan({});
    openOrCreate(program, plan.root, "/a/b", "directory");
    expect(summary(program.operations)).toEqual([
      "openat2 /a/b",
      "copy",
      "openat2 a ?failed",
      "mkdirat a ?failed",
      "openat2 a ?failed",
      "mkdirat a/b ?failed",
      "openat2 /a/b ?failed",
    ]);
  });

  it("makes each directory through the descriptor of its parent, by its name only", () => {
    const { program, plan } = testPlan({});
    openOrCreate(program, plan.root, "/a/b/c", "directory");
    const made = only(program, "mkdirat");
    expect(made.map(({ args }) => args[1])).toEqual(["a", "b", "c"]);
    expect(made.map(({ args }) => args[2])).toEqual([0o755, 0o755, 0o755]);
    expect(made[0]?.args[0]).toBe(plan.root);
    const openedParents = only(program, "openat2").filter(({ path }) => path === "a" || path === "a/b");
    expect(openedParents.every((operation) => (howOf(operation).flags & O_DIRECTORY) !== 0)).toBe(true);
    expect(made[1]?.args[0]).toBe(openedParents[0]?.into);
    expect(made[2]?.args[0]).toBe(openedParents[2]?.into);
  });

  it("makes a file without following a link, and only if nothing exists", () => {
    const { program, plan } = testPlan({});
    openOrCreate(program, plan.root, "/file", "file");
    const [made] = only(program, "openat");
    const flags = O_CREAT | O_EXCL | O_NOFOLLOW;
    expect(Number(made?.args[2]) & flags).toBe(flags);
    expect(made?.args.slice(0, 2)).toEqual([plan.root, "file"]);
    expect(summary(program.operations).at(-2)).toBe("close ?positive");
  });

  it("tells whether the target existed, and returns its descriptor in any case", () => {
    const { program, plan } = testPlan({});
    const { fd, existed } = openOrCreate(program, plan.root, "/a", "directory");
    const [first, copy] = program.operations;
    expect(first).toMatchObject({ into: existed, tolerate: ["ENOENT"], guard: undefined });
    expect(copy).toMatchObject({ call: "copy", args: [existed], into: fd });
    expect(program.operations.at(-1)).toMatchObject({ into: fd, guard: { on: existed, is: "failed" } });
    expect(program.operations.at(-1)?.tolerate).toEqual([]);
  });

  it("accepts only a directory as a directory", () => {
    const { program, plan } = testPlan({});
    openOrCreate(program, plan.root, "/a", "directory");
    const opened = only(program, "openat2");
    expect(opened.map((operation) => howOf(operation).flags & O_DIRECTORY)).toEqual([
      O_DIRECTORY,
      O_DIRECTORY,
    ]);
    expect(opened[0]?.tolerate).not.toContain("ENOTDIR");
  });

  it("makes nothing for the root itself", () => {
    const { program, plan } = testPlan({});
    openOrCreate(program, plan.root, "/", "directory");
    expect(only(program, "mkdirat")).toEqual([]);
  });

  it("refuses links in the path if asked to", () => {
    const { program, plan } = testPlan({});
    openOrCreate(program, plan.root, "/proc", "directory", { noSymlinks: true });
    const opened = only(program, "openat2").filter(({ path }) => path === "/proc");
    expect(opened.map((operation) => howOf(operation).resolve)).toEqual([
      RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
      RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
    ]);
  });
});

it("attach moves a mount from descriptor to descriptor, never by a path", () => {
  const { program, plan } = testPlan({});
  attach(program, plan.hostProc, plan.root);
  expect(program.operations[0]?.args.slice(0, 4)).toEqual([plan.hostProc, "", plan.root, ""]);
});

it("attachFile only calls move_mount, unless that fails with EINVAL; for a directory it then gives ENOTDIR", () => {
  const { program, plan } = testPlan({});
  attachFile(program, plan.hostProc, plan.root, { path: "/file" });
  const [moved, looked, wrong, again] = program.operations;
  expect(summary(program.operations)).toEqual([
    "move_mount /file",
    "openat /file ?failed",
    "move_mount /file ?positive",
    "move_mount /file ?failed",
  ]);
  expect(moved?.tolerate).toEqual(["EINVAL"]);
  expect(looked?.guard?.on).toBe(moved?.into);
  expect(looked?.args.slice(0, 2)).toEqual([plan.root, "."]);
  expect(wrong?.args.slice(0, 3)).toEqual([plan.hostProc, ".", plan.root]);
  expect(wrong?.tolerate).toEqual([]);
  expect(again).toMatchObject({ args: moved?.args, tolerate: [], guard: { on: moved?.into } });
});
