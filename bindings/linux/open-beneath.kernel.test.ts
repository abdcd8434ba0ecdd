import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { O_CLOEXEC, O_PATH, O_RDONLY } from "../abi/fcntl.ts";
import { openBeneath, openInRoot } from "./open-beneath.ts";

describe("openBeneath and openInRoot", () => {
  let directory = "";
  let fd = -1;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "runts-beneath-"));
    mkdirSync(join(directory, "inside"));
    writeFileSync(join(directory, "inside/file"), "");
    writeFileSync(join(directory, "secret"), "");
    symlinkSync("file", join(directory, "inside/link"));
    symlinkSync("../secret", join(directory, "inside/out"));
    fd = openSync(join(directory, "inside"), "r");
  });

  afterEach(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });

  it("opens a path below the directory", () => {
    const opened = openBeneath(fd, "file", O_RDONLY | O_CLOEXEC);
    expect(readlinkSync(`/proc/self/fd/${opened}`)).toBe(`${directory}/inside/file`);
    closeSync(opened);
  });

  it.each([
    ["../secret", "EXDEV"],
    ["/etc/passwd", "EXDEV"],
    ["link", "ELOOP"],
    ["out", "ELOOP"],
    ["missing", "ENOENT"],
  ])("refuses %s: %s", (path, errno) => {
    expect(() => openBeneath(fd, path, O_RDONLY | O_CLOEXEC)).toThrow(expect.objectContaining({ errno }));
  });

  it.each([
    ["/link", "/file"],
    ["../../file", "/file"],
    ["/..", ""],
  ])("with the directory as root, %s leads to %s in it", (path, target) => {
    const opened = openInRoot(fd, path, O_PATH | O_CLOEXEC);
    expect(readlinkSync(`/proc/self/fd/${opened}`)).toBe(`${directory}/inside${target}`);
    closeSync(opened);
  });

  it("with the directory as root, a link out of it is not found", () => {
    expect(() => openInRoot(fd, "out", O_PATH | O_CLOEXEC)).toThrow(
      expect.objectContaining({ errno: "ENOENT" }),
    );
  });

  it("refuses another mount", () => {
    const root = openSync("/", "r");
    expect(() => openBeneath(root, "proc/version", O_RDONLY | O_CLOEXEC)).toThrow(
      expect.objectContaining({ errno: "EXDEV" }),
    );
    closeSync(root);
  });
});
