import { expect, test } from "vitest";
import type { Config } from "../spec/types.ts";
import { cgroupPathFor } from "./path.ts";

function pathFor(cgroupsPath?: string): string {
  const config: Config = {
    ociVersion: "1.3.0",
    root: { path: "rootfs" },
    linux: cgroupsPath === undefined ? {} : { cgroupsPath },
  };
  // Writable for whoever runs the tests, so that the place does not depend on the cgroup they run in.
  return cgroupPathFor(config, "web1", "/tmp");
}

test.each([
  ["absolute", "/a/b", "/tmp/a/b"],
  ["relative", "a/b", "/tmp/a/b"],
  ["systemd's form", "system.slice:runts:web1", "/tmp/system.slice:runts:web1"],
  ["absent", undefined, "/tmp/web1"],
  ["empty", "", "/tmp/web1"],
  ["leading out", "/../../a/../../b", "/tmp/b"],
  ["leading out, relative", "../../etc", "/tmp/etc"],
  ["untidy", "//a///b/./", "/tmp/a/b"],
])("cgroupsPath that is %s", (_title, cgroupsPath, expected) => {
  expect(pathFor(cgroupsPath)).toBe(expected);
});

test.each(["/", "/..", "..", "."])("%s would be the root cgroup and is refused", (cgroupsPath) => {
  expect(() => pathFor(cgroupsPath)).toThrow(expect.objectContaining({ pointer: "/linux/cgroupsPath" }));
});
