import { describe, expect, it } from "vitest";
import type { Config } from "../../spec/types.ts";
import { scopeNameFor, sliceDirectory } from "./unit-name.ts";

function config(cgroupsPath: string): Config {
  return { ociVersion: "1.3.0", root: { path: "rootfs" }, linux: { cgroupsPath } };
}

describe("scopeNameFor", () => {
  it.each([
    ["machine.slice:libpod:0123abc", false, "machine.slice", "libpod-0123abc.scope"],
    [":pre:name", false, "system.slice", "pre-name.scope"],
    [":pre:name", true, "user.slice", "pre-name.scope"],
    ["a-b.slice::name", false, "a-b.slice", "name.scope"],
    ["-:pre:name", false, "-.slice", "pre-name.scope"],
    ["-.slice:pre:name", false, "-.slice", "pre-name.scope"],
    ["", false, "system.slice", "runts-web1.scope"],
    ["", true, "user.slice", "runts-web1.scope"],
  ])("parses %j, user %s", (path, user, slice, unit) => {
    expect(scopeNameFor(config(path), "web1", user)).toEqual({ slice, unit });
  });

  it("escapes characters of an id that a unit can't have", () => {
    expect(scopeNameFor(config(""), "a+b", false).unit).toBe("runts-a\\x2bb.scope");
  });

  it.each([
    "/absolute",
    "relative",
    "a.slice:b",
    "a.slice:b:c:d",
    "a.slice:b:",
    "a.slice:b:c.slice",
    "a.scope:b:c",
    ".slice:b:c",
    "a--b.slice:b:c",
    "-a.slice:b:c",
    "a/b.slice:b:c",
    "a.slice:b/../..:c",
    "a.slice:b c:d",
    `a.slice:b:${"c".repeat(260)}`,
  ])("refuses %s", (path) => {
    expect(() => scopeNameFor(config(path), "web1", false)).toThrow(/^\/linux\/cgroupsPath: /);
  });
});

it.each([
  ["-.slice", ""],
  ["system.slice", "/system.slice"],
  ["a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"],
])("sliceDirectory of %s is %j", (slice, directory) => {
  expect(sliceDirectory(slice)).toBe(directory);
});
