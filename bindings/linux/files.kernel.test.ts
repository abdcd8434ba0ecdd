import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mkdirSync, readdirSync, rmdirSync, rmSync } from "./directories.ts";
import { fstatSync, lstatSync, statfsSync, statSync } from "./file-status.ts";
import * as files from "./files.ts";

/** Compares results and errors with the functions of node:fs that have the same names. */

let directory = "";
const at = (name: string): string => join(directory, name);

beforeAll(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "runts-files-"));
  fs.writeFileSync(at("file"), "héllo\n", { mode: 0o640 });
  fs.mkdirSync(at("folder"));
  fs.mkdirSync(at("folder/sub"));
  fs.writeFileSync(at("folder/one"), "");
  fs.symlinkSync("file", at("link"));
  fs.symlinkSync("folder", at("folder-link"));
  fs.symlinkSync("missing", at("dangling"));
  fs.writeFileSync(at("long"), "0123456789".repeat(5000));
});
afterAll(() => fs.rmSync(directory, { recursive: true }));

/** The result, or the error without its message, which comes from glibc here and from libuv in node:fs. */
function outcome(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { code, syscall, path } = { code: "", syscall: "", path: undefined, ...error };
    return { message: error.message.replace(/: .*, /, ": …, "), code, syscall, path };
  }
}

const PATHS = [
  "file",
  "folder",
  "link",
  "folder-link",
  "dangling",
  "missing",
  "file/below",
  "folder/",
  "long",
  "",
];

describe.each(PATHS)("at %j", (name) => {
  const path = () => (name === "" ? "" : at(name));

  test.each([
    ["readFileSync", () => files.readFileSync(path(), "utf8"), () => fs.readFileSync(path(), "utf8")],
    [
      "readFileSync latin1",
      () => files.readFileSync(path(), "latin1"),
      () => fs.readFileSync(path(), "latin1"),
    ],
    ["readlinkSync", () => files.readlinkSync(path()), () => fs.readlinkSync(path())],
    ["existsSync", () => files.existsSync(path()), () => fs.existsSync(path())],
    [
      "accessSync",
      () => files.accessSync(path(), files.W_OK),
      () => fs.accessSync(path(), fs.constants.W_OK),
    ],
    ["unlinkSync", () => files.unlinkSync(`${path()}/x`), () => fs.unlinkSync(`${path()}/x`)],
    ["rmdirSync", () => rmdirSync(`${path()}/x`), () => fs.rmdirSync(`${path()}/x`)],
    ["chmodSync", () => files.chmodSync(`${path()}/x`, 0o600), () => fs.chmodSync(`${path()}/x`, 0o600)],
    ["openSync", () => files.openSync(path(), "wx"), () => fs.openSync(`${path()}`, "wx")],
  ])("%s does the same as node:fs", (operation, own, theirs) => {
    const mine = outcome(own);
    if (operation === "openSync" && typeof mine === "number") {
      files.closeSync(mine);
      files.unlinkSync(path());
      expect(typeof outcome(theirs)).toBe("number");
      fs.unlinkSync(path());
    } else expect(mine).toEqual(outcome(theirs));
  });

  test("readdirSync lists the same", () => {
    const sorted = (names: unknown) => (Array.isArray(names) ? [...names].sort() : names);
    expect(sorted(outcome(() => readdirSync(path())))).toSatisfy((mine: unknown) => {
      const theirs = sorted(outcome(() => fs.readdirSync(path())));
      // node:fs calls opendir; here it is open.
      expect(JSON.stringify(mine).replace("open ", "scandir ").replace('"open"', '"scandir"')).toBe(
        JSON.stringify(theirs),
      );
      return true;
    });
  });

  test.each([
    ["statSync", statSync, fs.statSync],
    ["lstatSync", lstatSync, fs.lstatSync],
  ])("%s throws the same error", (_, own, theirs) => {
    const shown = (status: ReturnType<typeof own> | fs.Stats | undefined) =>
      status && {
        ...{ mode: status.mode, uid: status.uid, gid: status.gid, size: status.size, ino: status.ino },
        ...{ dev: status.dev, rdev: status.rdev, file: status.isFile(), directory: status.isDirectory() },
        ...{ link: status.isSymbolicLink(), device: status.isCharacterDevice() },
      };
    expect(outcome(() => shown(own(path())))).toEqual(outcome(() => shown(theirs(path()))));
    const options = { throwIfNoEntry: false } as const;
    expect(outcome(() => shown(own(path(), options)))).toEqual(outcome(() => shown(theirs(path(), options))));
  });
});

test("an error has a message", () => {
  expect(() => files.openSync(at("missing"), "r")).toThrow(
    `ENOENT: no such file or directory, open '${at("missing")}'`,
  );
});

test("statSync gives the number of a device", () => {
  expect([statSync("/dev/null").rdev, statSync("/dev/null").isCharacterDevice()]).toEqual([
    fs.statSync("/dev/null").rdev,
    true,
  ]);
});

test("fstatSync and statfsSync agree with node:fs", () => {
  const fd = fs.openSync(at("long"), "r");
  expect([fstatSync(fd).size, fstatSync(fd).ino]).toEqual([50_000, fs.fstatSync(fd).ino]);
  fs.closeSync(fd);
  for (const path of ["/proc", directory]) expect(statfsSync(path).type).toBe(fs.statfsSync(path).type);
});

test("readFileSync reads files that report no size, and the rest of an open file", () => {
  expect(files.readFileSync("/proc/self/status", "latin1")).toContain("\nSigIgn:");
  const fd = files.openSync(at("long"), "r");
  const buffer = new Uint8Array(49_990);
  expect(files.readSync(fd, buffer)).toBe(49_990);
  expect(files.readFileSync(fd, "utf8")).toBe("0123456789");
  expect(files.readSync(fd, buffer, 3, 2, 5)).toBe(2);
  expect([...buffer.subarray(3, 5)]).toEqual([..."56"].map((digit) => digit.charCodeAt(0)));
  files.closeSync(fd);
  expect(outcome(() => files.closeSync(fd))).toEqual(outcome(() => fs.closeSync(fd)));
});

test("writeFileSync creates, truncates or refuses a file, depending on the flag", () => {
  files.writeFileSync(at("new"), "längerer Text", { mode: 0o600 });
  expect([fs.readFileSync(at("new"), "utf8"), fs.statSync(at("new")).mode & 0o777]).toEqual([
    "längerer Text",
    0o600,
  ]);
  files.writeFileSync(at("new"), new Uint8Array([65]));
  expect(fs.readFileSync(at("new"), "utf8")).toBe("A");
  expect(outcome(() => files.writeFileSync(at("new"), "", { flag: "wx" }))).toEqual(
    outcome(() => fs.writeFileSync(at("new"), "", { flag: "wx" })),
  );
  const fd = files.openSync(at("new"), "a");
  expect([files.writeSync(fd, "ß"), files.writeSync(fd, new Uint8Array([66, 67, 68]), 1, 2)]).toEqual([2, 2]);
  files.closeSync(fd);
  expect(fs.readFileSync(at("new"), "utf8")).toBe("AßCD");
  const both = fs.openSync(at("new"), "w+");
  files.pwriteSync(both, "xyz", 1);
  expect(files.readFileSync(both, "latin1")).toBe("\0xyz");
  fs.closeSync(both);
  files.renameSync(at("new"), at("renamed"));
  files.unlinkSync(at("renamed"));
  expect(fs.existsSync(at("renamed"))).toBe(false);
});

test("every descriptor is close-on-exec", () => {
  const fd = files.openSync(at("file"), "r");
  expect(fs.readFileSync(`/proc/self/fdinfo/${fd}`, "latin1")).toMatch(/^flags:\s*0[0-7]*2[0-7]{6}$/m);
  files.closeSync(fd);
});

test("realpathSync follows links", () => {
  const real = fs.realpathSync(directory);
  expect(files.realpathSync(at("folder-link/../link"))).toBe(join(real, "file"));
  expect(outcome(() => files.realpathSync(at("dangling")))).toMatchObject({ code: "ENOENT" });
});

test("mkdirSync and rmSync handle trees", () => {
  mkdirSync(at("x/y/z"), { recursive: true, mode: 0o700 });
  mkdirSync(at("x/y/z"), { recursive: true });
  mkdirSync(at("folder-link"), { recursive: true });
  expect(fs.statSync(at("x/y")).mode & 0o777).toBe(0o700);
  expect(outcome(() => mkdirSync(at("x")))).toEqual(outcome(() => fs.mkdirSync(at("x"))));
  expect(outcome(() => mkdirSync(at("file"), { recursive: true }))).toMatchObject({ code: "EEXIST" });
  expect(outcome(() => mkdirSync(at("file/below"), { recursive: true }))).toMatchObject({ code: "ENOTDIR" });
  fs.writeFileSync(at("x/y/file"), "");
  fs.symlinkSync("../../folder", at("x/y/link"));
  expect(outcome(() => rmSync(at("x"), { force: true }))).toMatchObject({ code: "EISDIR" });
  rmSync(at("x"), { recursive: true });
  expect([fs.existsSync(at("x")), fs.existsSync(at("folder/one"))]).toEqual([false, true]);
  rmSync(at("x"), { recursive: true, force: true });
  expect(outcome(() => rmSync(at("x")))).toMatchObject({ code: "ENOENT" });
  for (let i = 0; i < 1000; i++) fs.writeFileSync(at(`folder/sub/a-name-of-some-length-${i}`), "");
  expect(readdirSync(at("folder/sub"))).toHaveLength(1000);
});

test("a NUL byte in a path is refused", () => {
  expect(() => files.openSync("/tmp/a\0b", "r")).toThrow(/NUL/);
});
