import { describe, expect, it } from "vitest";
import { ENOENT, EPERM } from "../../bindings/abi/errno.ts";
import { Program, RegisterAllocator } from "../../bindings/stub/program.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";
import { asRuntsError, checkReply, onBehalfOf, operationError } from "./run-program.ts";

describe("operationError", () => {
  it.each([
    [
      "names pointer, purpose, call and path",
      { call: "mknodat", pointer: "/linux/devices/0", purpose: "make a device", path: "/dev/fuse" },
      EPERM,
      "/linux/devices/0: make a device: mknodat /dev/fuse: operation not permitted",
    ],
    [
      "doesn't say the path twice",
      { call: "openat2", pointer: "/mounts/0", purpose: "mount proc on /proc", path: "/proc" },
      ENOENT,
      "/mounts/0: mount proc on /proc: openat2: no such file or directory",
    ],
    [
      "is one line, whatever the config has",
      { call: "fsconfig", pointer: "/mounts/0", purpose: "mount a\nb on /mnt", path: "c\r\nd" },
      EPERM,
      "/mounts/0: mount a\\nb on /mnt: fsconfig c\\r\\nd: operation not permitted",
    ],
    [
      "leaves out what there isn't",
      { call: "accept4", pointer: "", purpose: "wait for start", path: "" },
      EPERM,
      "wait for start: accept4: operation not permitted",
    ],
  ])("%s", (_title, operation, errno, message) => {
    expect(operationError(operation, errno).message).toBe(message);
  });

  it("has the parts as fields", () => {
    const operation = { call: "execve", pointer: "/process/args/0", purpose: 'exec: "sh"', path: "/bin/sh" };
    expect(operationError(operation, ENOENT)).toMatchObject({
      operation: "execve",
      errno: "ENOENT",
      path: "/bin/sh",
      pointer: "/process/args/0",
      exitCode: 1,
    });
  });

  it("stands an operation that isn't known", () => {
    expect(operationError(undefined, EPERM).message).toBe("set-up: stub: operation not permitted");
  });
});

describe("checkReply", () => {
  const program = new Program(new RegisterAllocator());
  program.about("/hostname", "set the host name").do("sethostname", ["box", 3]);
  program.about("/process/cwd", "change").do("chdir", ["/a"], { path: "/shown" });

  it("is content without a failure", () => {
    expect(() => checkReply(program, { results: [0, 0], outputs: [], failure: undefined })).not.toThrow();
  });

  it.each([
    [0, "/hostname: set the host name: sethostname box: operation not permitted"],
    [1, "/process/cwd: change: chdir /shown: operation not permitted"],
  ])("throws what operation %i failed with", (index, message) => {
    const failure = { index, errno: EPERM };
    expect(() => checkReply(program, { results: [], outputs: [], failure })).toThrow(message);
  });
});

describe("onBehalfOf", () => {
  it("gives what the action gives", () => {
    expect(onBehalfOf("/root/path", "open", () => 7)).toBe(7);
  });

  it("turns a failed system call into an error of the property", () => {
    const cause = new SyscallError("openat", "ENOENT", ["/missing"]);
    const action = () => {
      throw cause;
    };
    expect(() => onBehalfOf("/root/path", "open the rootfs", action)).toThrow(
      expect.objectContaining({
        message: "/root/path: open the rootfs: openat /missing: no such file or directory",
        errno: "ENOENT",
        pointer: "/root/path",
        cause,
      }),
    );
  });
});

describe("asRuntsError", () => {
  it("takes an error of node:fs", () => {
    const error = Object.assign(new Error("x"), { code: "EACCES", syscall: "open", path: "/a" });
    expect(asRuntsError(error, "/mounts/0/source", "bind /a")).toMatchObject({
      message: "/mounts/0/source: bind /a: open: permission denied",
      operation: "open",
      path: "/a",
    });
  });

  it("leaves alone what is complete, and what is not a failed call", () => {
    for (const error of [new RuntsError("complete"), new TypeError("a bug"), "text", undefined]) {
      expect(asRuntsError(error, "/x", "y")).toBe(error);
    }
  });
});
