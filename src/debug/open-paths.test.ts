import { describe, expect, it } from "vitest";
import { nulTerminated } from "../../bindings/abi/c-string.ts";
import { AT_FDCWD } from "../../bindings/abi/fcntl.ts";
import { OpenPaths } from "./open-paths.ts";

const path = nulTerminated;

describe("OpenPaths", () => {
  it("tells which path a call is about, also through a descriptor", () => {
    const paths = new OpenPaths();
    paths.opened("openat", [AT_FDCWD, path("/run/box"), 0], 7);
    paths.opened("openat2", [7, path("inner"), null, 24], 8);
    expect(paths.of("mkdirat", [AT_FDCWD, path("/a"), 0])).toBe("/a");
    expect(paths.of("unlinkat", [7, path("file"), 0])).toBe("/run/box/file");
    expect(paths.of("unlinkat", [AT_FDCWD, path("/proc/self/fd/8/file"), 0])).toBe("/run/box/inner/file");
    expect(paths.of("write", [8, path("x"), 1])).toBe("/run/box/inner");
    const address = Uint8Array.of(1, 0, ...path("/proc/self/fd/7/start.sock"));
    expect(paths.of("connect", [9, address, address.length])).toBe("/run/box/start.sock");
  });

  it("tells no path for a descriptor that is closed, failed to open or was passed to the runtime", () => {
    const paths = new OpenPaths();
    paths.opened("openat", [AT_FDCWD, path("/a"), 0], 7);
    paths.opened("close", [7], 0);
    paths.opened("openat", [AT_FDCWD, path("/b"), 0], -2);
    for (const fd of [7, -2, 1]) expect(paths.of("write", [fd, path("x"), 1])).toBe("");
  });

  it("tells the pid for a pidfd", () => {
    const paths = new OpenPaths();
    paths.opened("pidfd_open", [42, 0], 5);
    expect(paths.of("pidfd_send_signal", [5, 9, null, 0])).toBe("42");
  });
});
