import { describe, expect, it } from "vitest";
import { followLinks } from "./follow-links.ts";

/** Looks up paths in a tree: directories end in "/", and a link is mapped to its target. */
function follow(path: string, tree: Readonly<Record<string, string>>) {
  const followed = followLinks(path, (at) => {
    const entry = at === "/" ? "/" : tree[at];
    return { isDirectory: entry === "/", link: entry === "/" || entry === "file" ? undefined : entry };
  });
  return followed && [followed.path, ...followed.rest];
}

const tree = {
  "/run": "/",
  "/run/deep": "/",
  "/run/deep/er": "/",
  "/etc": "/",
  "/etc/hosts": "file",
  "/var": "run",
  "/etc/abs": "/run/deep",
  "/etc/up": "../../../run",
  "/etc/back": "abs/../x",
  "/loop": "loop2",
  "/loop2": "/loop",
};

describe("followLinks", () => {
  it.each([
    ["/", ["/"]],
    ["//run/./deep", ["/run/deep"]],
    ["/var/deep", ["/run/deep"]],
    ["/etc/abs/er", ["/run/deep/er"]],
    ["/etc/up/deep", ["/run/deep"]],
    ["/var/deep/../new/file", ["/run/new", "file"]],
    ["/etc/hosts/x/y", ["/etc/hosts", "x", "y"]],
    ["/new/deep", ["/new", "deep"]],
  ])("%s leads to %j", (path, expected) => {
    expect(follow(path, tree)).toEqual(expected);
  });

  it("`..` after a link is the parent of its target", () => {
    expect(follow("/etc/back", tree)).toEqual(["/run/x"]);
  });

  it("a loop of links leads nowhere", () => {
    expect(follow("/loop/x", tree)).toBeUndefined();
  });
});
