import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AT_FDCWD, O_DIRECTORY, O_PATH } from "../../bindings/abi/fcntl.ts";
import { cString, syscall } from "../../bindings/ffi/syscall.ts";
import {
  channelPair,
  keepOnExec,
  openStubImage,
  StubChannel,
  spawnStub,
  tapStubs,
} from "../../bindings/stub/client.ts";
import { copyUp } from "./copy-up.ts";
import { runProgram } from "./run-program.ts";

const isRoot = process.getuid?.() === 0;
const TMPFS_MAGIC = 0x01021994;
const SHARED_MEMORY = "/dev/shm";
const hasTmpfs = statfsSync(SHARED_MEMORY).type === TMPFS_MAGIC;

let directory = "";
let channel = new StubChannel(-1);
let [from, to] = ["", ""];

beforeEach(() => {
  useFolderIn(tmpdir());
  const image = openStubImage();
  const [ours, theirs] = channelPair();
  keepOnExec(theirs);
  spawnStub(image, theirs);
  for (const fd of [image, theirs]) closeSync(fd);
  channel = new StubChannel(ours);
});

function useFolderIn(parent: string): void {
  removeFolder();
  directory = mkdtempSync(join(parent, "runts-copy-up-"));
  [from, to] = [join(directory, "from"), join(directory, "to")];
  for (const path of [from, to]) mkdirSync(path);
}

/** For thousands of files, each of which takes a disk that others use milliseconds. */
function useMemory(): void {
  if (hasTmpfs) useFolderIn(SHARED_MEMORY);
}

/** Unlike the function of node:fs, the program doesn't mind how deep it is. */
function removeFolder(): void {
  if (directory !== "") execFileSync("rm", ["-rf", directory]);
  directory = "";
}

afterEach(() => {
  channel.close();
  removeFolder();
});

/** As init does it, but for the tmpfs. Returns the number of registers that it took. */
function copy(): number {
  const opening = channel.program();
  opening.do("umask", [0]);
  const covered = opening.call("openat", [AT_FDCWD, from, O_PATH | O_DIRECTORY, 0]);
  const mount = opening.call("openat", [AT_FDCWD, to, O_PATH | O_DIRECTORY, 0]);
  runProgram(channel, opening);
  copyUp(channel, covered, mount, "/mounts/3");
  return channel.registers.take().register;
}

function openDescriptors(): number {
  const program = channel.program();
  program.do("getpid", []);
  return readdirSync(`/proc/${runProgram(channel, program).results[0]}/fd`).length;
}

/** Makes directories in one another. */
function nest(path: string, names: readonly string[]): void {
  let at = openSync(path, O_PATH | O_DIRECTORY);
  for (const name of names) {
    syscall("mkdirat", [at, cString(name), 0o755]);
    const below = syscall("openat", [at, cString(name), O_PATH | O_DIRECTORY, 0]);
    closeSync(at);
    at = below;
  }
  closeSync(at);
}

function filesBelow(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" }).sort();
}

/** A tree of directories with nothing else in them. */
function levelsOf(path: string): number {
  return execFileSync("find", [path, "-printf", "x"], { encoding: "utf8" }).length;
}

describe("what a tmpfs covers is copied", () => {
  beforeEach(useMemory);

  test("with as many files as it has, and few registers", () => {
    for (let index = 0; index < 3000; index++) writeFileSync(join(from, `file-${index}`), String(index));
    expect(copy()).toBeLessThan(20);
    expect(filesBelow(to)).toEqual(filesBelow(from));
    expect(readFileSync(join(to, "file-2999"), "utf8")).toBe("2999");
  });

  test("with as many directories as it has, of which none stays open", () => {
    for (let index = 0; index < 300; index++)
      mkdirSync(join(from, `a/${index % 7}/${index}`), { recursive: true });
    writeFileSync(join(from, "a/3/3/file"), "");
    expect(copy()).toBeLessThan(20);
    expect(filesBelow(to)).toEqual(filesBelow(from));
    expect(openDescriptors()).toBeLessThan(8);
  });

  test("with names and targets of links that are no UTF-8", () => {
    const path = (folder: string, name: string) =>
      Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, "latin1")]);
    const target = "../\xe4/\x80\xff";
    writeFileSync(path(from, "\x80\xff"), "text");
    writeFileSync(path(from, "\xff".repeat(255)), "");
    mkdirSync(path(from, "\xf6"));
    writeFileSync(path(from, "\xf6/\xfc"), "inside");
    symlinkSync(Buffer.from(target, "latin1"), path(from, "l\xc3"));
    symlinkSync("x".repeat(4000), path(from, "long"));
    copy();
    expect(readFileSync(path(to, "\x80\xff"), "utf8")).toBe("text");
    expect(readFileSync(path(to, "\xf6/\xfc"), "utf8")).toBe("inside");
    expect(readlinkSync(path(to, "l\xc3"), "latin1")).toBe(target);
    expect(readlinkSync(path(to, "long"), "utf8")).toBe("x".repeat(4000));
    expect(readdirSync(to, "latin1").sort()).toEqual(readdirSync(from, "latin1").sort());
  });

  test("with modes, fifos, and, for root, owners and devices", () => {
    writeFileSync(join(from, "file"), "text");
    execFileSync("mkfifo", [join(from, "fifo")]);
    if (isRoot) {
      execFileSync("mknod", [join(from, "null"), "c", "1", "3"]);
      for (const name of ["file", "fifo", "null"]) chownSync(join(from, name), 3, 4);
    }
    chmodSync(join(from, "file"), 0o4751);
    chmodSync(join(from, "fifo"), 0o640);
    mkdirSync(join(from, "sticky"));
    chmodSync(join(from, "sticky"), 0o3777);
    const facts = (folder: string) =>
      filesBelow(folder).map((name) => {
        const { mode, uid, gid, rdev } = lstatSync(join(folder, name));
        return { name, mode: mode.toString(8), uid, gid, rdev };
      });
    copy();
    expect(facts(to)).toEqual(facts(from));
  });
});

describe("directories in one another", () => {
  beforeEach(useMemory);

  test("as many as a path can name: they are copied", () => {
    nest(from, Array(2047).fill("d"));
    copy();
    expect(levelsOf(to)).toBe(2048);
  });

  test("more than that: an error that says so", () => {
    nest(from, Array(2048).fill("d"));
    expect(copy).toThrow(
      expect.objectContaining({
        pointer: "/mounts/3",
        errno: "ENAMETOOLONG",
        message: "/mounts/3: copy d into the tmpfs: directories are nested deeper than 2048 levels",
      }),
    );
  });

  test("with names that together are longer than any path: they are copied", () => {
    nest(
      from,
      Array.from({ length: 30 }, (_, level) => `${level}-${"x".repeat(200)}`),
    );
    copy();
    expect(levelsOf(to)).toBe(31);
  });
});

describe("a file is copied", () => {
  test("of more than what a program moves", () => {
    const size = 140 * 1024 * 1024;
    execFileSync("fallocate", ["-l", String(size), join(from, "large")]);
    const file = openSync(join(from, "large"), "r+");
    syscall("pwrite64", [file, cString("the end"), 7, size - 7]);
    closeSync(file);
    copy();
    expect(statSync(join(to, "large")).size).toBe(size);
    expect(execFileSync("tail", ["-c", "7", join(to, "large")], { encoding: "utf8" })).toBe("the end");
  });

  test("with its holes", () => {
    const file = join(from, "sparse");
    writeFileSync(file, "begin");
    truncateSync(file, 2 ** 28);
    const opened = openSync(file, "r+");
    for (const [text, offset] of [
      ["middle", 2 ** 26],
      ["end", 2 ** 27 + 2 ** 26],
    ] as const)
      syscall("pwrite64", [opened, cString(text), text.length, offset]);
    closeSync(opened);
    chmodSync(file, 0o4755);
    copy();
    const { size, blocks, mode } = statSync(join(to, "sparse"));
    expect([size, mode & 0o7777]).toEqual([2 ** 28, 0o4755]);
    expect(512 * blocks).toBeLessThan(2 ** 20);
    execFileSync("cmp", [file, join(to, "sparse")]);
  });

  test.skipIf(!hasTmpfs)("of 8 EiB, with its holes (skipped without a tmpfs)", () => {
    useFolderIn(SHARED_MEMORY);
    const [size, far] = [2n ** 63n - 1n, 2n ** 62n + 12_345n];
    const file = openSync(join(from, "sparse"), "w");
    syscall("ftruncate", [file, size]);
    syscall("pwrite64", [file, cString("text"), 4, far]);
    closeSync(file);
    copy();
    const copied = openSync(join(to, "sparse"), "r");
    const content = new Uint8Array(6);
    syscall("pread64", [copied, content, 6, far - 1n]);
    const { size: copiedSize, blocks } = fstatSync(copied, { bigint: true });
    closeSync(copied);
    expect([copiedSize, 512n * blocks]).toEqual([size, 4096n]);
    expect(Buffer.from(content).toString()).toBe("\0text\0");
  });
});

describe("what a stub in other hands says of a directory", () => {
  afterEach(() => tapStubs(undefined));

  /** Each list of names that the stub gives is another one. */
  function falsify(change: (list: Buffer, length: number) => number): void {
    tapStubs({
      spawn: (_, spawn) => spawn(),
      send: (_, program) => program,
      sentAs: (program) => program,
      receive: (_, program, receive) => {
        const reply = receive();
        if (program.operations[0]?.call !== "getdents64") return reply;
        const list = Buffer.from(reply.outputs[0] ?? []);
        const length = change(list, reply.results[0] ?? 0);
        return { ...reply, results: [length], outputs: [list] };
      },
    });
  }

  const RECLEN = 16;
  const NAME = 19;

  test.each([
    ["an entry of no length, which would never end", (list: Buffer) => list.writeUInt16LE(0, RECLEN)],
    ["an entry that is longer than the list", (list: Buffer) => list.writeUInt16LE(0xffff, RECLEN)],
    ["an entry that ends within its name", (list: Buffer) => list.writeUInt16LE(NAME, RECLEN)],
    ["a name without an end", (list: Buffer) => list.fill("x", NAME)],
  ])("%s: a protocol error", (_, change) => {
    writeFileSync(join(from, "file"), "");
    falsify((list, length) => {
      change(list);
      return length;
    });
    expect(() => copy()).toThrow(expect.objectContaining({ errno: "EPROTO", pointer: "/mounts/3" }));
  });

  test.each([1, 18, 20])("a list that is cut off after %i bytes: a protocol error", (length) => {
    falsify(() => length);
    expect(() => copy()).toThrow(expect.objectContaining({ errno: "EPROTO" }));
  });

  test("a list that is longer than its room: what there is of it, and no more", () => {
    falsify((list) => {
      list.fill(0);
      return 2 ** 40;
    });
    expect(() => copy()).toThrow(expect.objectContaining({ errno: "EPROTO" }));
  });
});
