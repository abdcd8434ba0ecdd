import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { rmdirSync, rmSync, subdirectories, type TreeVisitor, walkTree } from "./directories.ts";

/** Hostile trees. */

const NO_TEXT = Buffer.from([0x61, 0xff, 0x0a]);
const LONG = "x".repeat(250);
const TMPFS_MAGIC = 0x01021994;
const SHARED_MEMORY = "/dev/shm";
/** A busy disk takes milliseconds for each directory. */
const hasTmpfs = fs.existsSync(SHARED_MEMORY) && fs.statfsSync(SHARED_MEMORY).type === TMPFS_MAGIC;
const PLACE = hasTmpfs ? SHARED_MEMORY : tmpdir();

let directory = "";

beforeEach(() => {
  directory = fs.mkdtempSync(join(PLACE, "runts-tree-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function below(name: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(name)]);
}

/** Makes nested directories, through the working directory, as their path would be too long. */
function makeDeep(depth: number): void {
  const before = process.cwd();
  try {
    process.chdir(directory);
    for (let level = 0; level < depth; level++) {
      fs.mkdirSync(LONG);
      process.chdir(LONG);
    }
  } finally {
    process.chdir(before);
  }
}

function openDescriptors(): number {
  return fs.readdirSync("/proc/self/fd").length;
}

/** Names in the order in which they are entered and left. */
function walked(visitor: Partial<TreeVisitor> = {}): string[] {
  const steps: string[] = [];
  walkTree(directory, {
    enter: (fd) => {
      steps.push(`in ${fs.readlinkSync(`/proc/self/fd/${fd}`).slice(directory.length)}`);
      return visitor.enter?.(fd) ?? subdirectories(fd).sort(Buffer.compare);
    },
    leave: (fd, name) => {
      steps.push(`out ${name.toString("latin1")}`);
      visitor.leave?.(fd, name);
    },
  });
  return steps;
}

describe("walkTree", () => {
  it("enters each directory before what is below it, and leaves it after that", () => {
    for (const path of ["a/b", "a/c", "d"]) fs.mkdirSync(below(path), { recursive: true });
    fs.symlinkSync("a", below("link"));
    fs.writeFileSync(below("file"), "");
    expect(walked()).toEqual([
      "in ",
      "in /a",
      "in /a/b",
      "out b",
      "in /a/c",
      "out c",
      "out a",
      "in /d",
      "out d",
    ]);
  });

  it("gives names that are not text as bytes", () => {
    fs.mkdirSync(below(NO_TEXT));
    expect(walked()).toContain("out a\xff\n");
  });

  it("goes deeper than the limits of paths and of open descriptors, with few descriptors", () => {
    makeDeep(2000);
    const before = openDescriptors();
    let most = 0;
    let deepest = 0;
    walkTree(directory, {
      enter: (fd) => {
        deepest += 1;
        most = Math.max(most, openDescriptors());
        return subdirectories(fd);
      },
    });
    expect(deepest).toBe(2001);
    expect(most - before).toBeLessThanOrEqual(2);
    expect(openDescriptors()).toBe(before);
  });

  it("skips directories that are removed before it gets there, or while it is in them", () => {
    for (const path of ["a", "b", "c"]) fs.mkdirSync(below(path));
    const steps = walked({
      enter: (fd) => {
        if (fs.readlinkSync(`/proc/self/fd/${fd}`) === `${directory}/a`)
          for (const name of ["a", "b"]) fs.rmdirSync(below(name));
        return subdirectories(fd).sort(Buffer.compare);
      },
    });
    expect(steps).toEqual(["in ", "in /a", "out a", "in /c", "out c"]);
  });

  it("does not go up to another place than it came from", () => {
    fs.mkdirSync(below("a/b"), { recursive: true });
    fs.mkdirSync(below("elsewhere"));
    const left: string[] = [];
    const move: TreeVisitor = {
      enter: (fd) => {
        if (fs.readlinkSync(`/proc/self/fd/${fd}`) === `${directory}/a/b`)
          fs.renameSync(below("a/b"), below("elsewhere/b"));
        return subdirectories(fd).sort(Buffer.compare);
      },
      leave: (_fd, name) => left.push(name.toString()),
    };
    expect(() => walkTree(directory, move)).toThrow(/ESTALE.* 'b'/);
    expect(left).toEqual([]);
  });

  it("enters neither another mount nor a symbolic link", () => {
    const root = { enter: () => [Buffer.from("proc")] };
    const entered: string[] = [];
    walkTree("/", {
      enter: (fd) => {
        entered.push(fs.readlinkSync(`/proc/self/fd/${fd}`));
        return root.enter();
      },
    });
    expect(entered).toEqual(["/"]);
    fs.symlinkSync("/tmp", below("link"));
    expect(() => walkTree(directory, { enter: () => [Buffer.from("link")] })).toThrow(/ELOOP/);
    expect(() => walkTree(`${directory}/link`, { enter: () => [] })).toThrow(/ENOTDIR/);
  });
});

describe("rmSync", () => {
  it("removes deep trees, names that are not text, and symbolic links but not their targets", () => {
    fs.mkdirSync(below("kept"));
    fs.writeFileSync(below("kept/file"), "");
    fs.mkdirSync(below("tree/sub"), { recursive: true });
    fs.mkdirSync(Buffer.concat([below("tree/"), NO_TEXT]));
    fs.writeFileSync(Buffer.concat([below("tree/sub/"), NO_TEXT]), "");
    fs.symlinkSync("../kept", below("tree/link"));
    makeDeep(100);
    rmSync(`${directory}/tree`, { recursive: true });
    rmSync(`${directory}/${LONG}`, { recursive: true });
    expect(fs.readdirSync(directory)).toEqual(["kept"]);
    expect(fs.readdirSync(below("kept"))).toEqual(["file"]);
  });
});

it("rmdirSync takes a name as bytes, in an open directory", () => {
  fs.mkdirSync(below(NO_TEXT));
  const fd = fs.openSync(directory, "r");
  try {
    rmdirSync(NO_TEXT, fd);
    expect(() => rmdirSync(NO_TEXT, fd)).toThrow("rmdir 'a\\xff\\x0a'");
  } finally {
    fs.closeSync(fd);
  }
  expect(fs.readdirSync(directory)).toEqual([]);
});
