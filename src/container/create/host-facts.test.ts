import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { freshDirectory } from "../record/status.test-support.ts";
import { followDanglingLinks, hostFacts } from "./host-facts.ts";

describe("followDanglingLinks", () => {
  function rootfsWith(links: Readonly<Record<string, string>>): string {
    const rootfs = freshDirectory();
    mkdirSync(`${rootfs}/etc`);
    mkdirSync(`${rootfs}/run`);
    writeFileSync(`${rootfs}/etc/hosts`, "");
    for (const [path, target] of Object.entries(links)) symlinkSync(target, `${rootfs}${path}`);
    return rootfs;
  }

  it.each<[string, Readonly<Record<string, string>>, string, string]>([
    ["a file stays", {}, "/etc/hosts", "/etc/hosts"],
    ["what isn't there stays", {}, "/new/deep/file", "/new/deep/file"],
    ["so does what is below a file", {}, "/etc/hosts/x", "/etc/hosts/x"],
    ["the root stays", {}, "/", "/"],
    ["an absolute link", { "/etc/r": "/run/resolve/r" }, "/etc/r", "/run/resolve/r"],
    ["a relative link", { "/etc/r": "../run/resolve/r" }, "/etc/r", "/run/resolve/r"],
    ["a link in its own directory", { "/etc/r": "s" }, "/etc/r", "/etc/s"],
    ["a link on the way", { "/var": "run" }, "/var/a/b", "/run/a/b"],
    ["several links", { "/a": "/b", "/b": "etc/c", "/etc/c": "../run/d" }, "/a/e", "/run/d/e"],
    ["a link that would leave the rootfs", { "/out": "../../../../etc/hosts" }, "/out", "/etc/hosts"],
    ["an absolute link to the host's root", { "/out": "/" }, "/out/etc", "/etc"],
    ["a circle of links is left to the kernel", { "/a": "/b", "/b": "/a" }, "/a/x", "/a/x"],
    ["a link to itself as well", { "/a": "a" }, "/a", "/a"],
  ])("%s", (_title, links, destination, expected) => {
    expect(followDanglingLinks(rootfsWith(links), destination)).toBe(expected);
  });
});

describe("hostFacts", () => {
  const factsOf = (bundle: string, rootfs: string) =>
    hostFacts({ bundle, rootfs, cgroup: "", mountLabel: "", inUserNamespace: false, warn: () => {} });
  const facts = factsOf("/bundle", "/rootfs");

  it("says what a bind source is, with the pointer of a missing one", () => {
    const directory = freshDirectory();
    writeFileSync(`${directory}/file`, "");
    expect(facts.isDirectory(directory, "/mounts/0")).toBe(true);
    expect(facts.isDirectory(`${directory}/file`, "/mounts/0")).toBe(false);
    expect(() => facts.isDirectory(`${directory}/gone`, "/mounts/3")).toThrow(
      expect.objectContaining({ pointer: "/mounts/3/source", errno: "ENOENT" }),
    );
  });

  it("tells procfs from others", () => {
    expect(facts.isProcfs("/proc")).toBe(true);
    expect(facts.isProcfs("/")).toBe(false);
    expect(facts.isProcfs("/missing")).toBe(false);
  });

  it("finds the host's procfs, and the mount that the rootfs lies on", () => {
    expect(facts.hostPseudoMounts()).toContain("/proc");
    expect(factsOf("/", "/proc/self").rootfsMountPoint()).toBe("/proc");
    expect(factsOf("/", "/proc").hostPseudoMounts()).not.toContain("/proc");
  });
});
