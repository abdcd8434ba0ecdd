import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isSupported } from "../spec/unsupported.ts";
import { features } from "./features.ts";

const found = JSON.parse(JSON.stringify(features()));

describe("features", () => {
  it("has all that features.md and features-linux.md define, and nothing else", () => {
    expect(Object.keys(found)).toEqual([
      "ociVersionMin",
      "ociVersionMax",
      "hooks",
      "mountOptions",
      "linux",
      "annotations",
      "potentiallyUnsafeConfigAnnotations",
    ]);
    expect(Object.keys(found.linux)).toEqual([
      "namespaces",
      "capabilities",
      "cgroup",
      "seccomp",
      "apparmor",
      "selinux",
      "intelRdt",
      "memoryPolicy",
      "mountExtensions",
      "netDevices",
    ]);
  });

  it("lists what the tables of the code know", () => {
    expect(found.linux.namespaces).toEqual("cgroup ipc mount network pid time user uts".split(" "));
    expect(found.linux.capabilities).toHaveLength(41);
    expect(found.mountOptions).toEqual(expect.arrayContaining(["rbind", "ro", "rro", "rslave", "tmpcopyup"]));
    expect(found.linux.seccomp.actions).toContain("SCMP_ACT_ERRNO");
    expect(found.linux.seccomp.operators).toHaveLength(7);
    expect(found.linux.seccomp.archs).toContain("SCMP_ARCH_AARCH64");
  });

  it("has the memory policies of config-schema.json", () => {
    const path = join(import.meta.dirname, "../spec/config-schema.json");
    const schema = readFileSync(path, "utf8");
    const names = [...new Set(schema.match(/"MPOL_\w+"/g))].map((name) => name.slice(1, -1)).sort();
    const { modes, flags } = found.linux.memoryPolicy;
    expect([...modes, ...flags].sort()).toEqual(names);
    expect(flags.filter((name: string) => !name.startsWith("MPOL_F_"))).toEqual([]);
    expect(modes).toHaveLength(7);
  });

  it("claims the flags of seccomp that it knows", () => {
    expect(found.linux.seccomp.knownFlags).toContain("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
    expect(found.linux.seccomp.supportedFlags).toEqual(found.linux.seccomp.knownFlags);
  });

  it("claims nothing that a config is refused for", () => {
    const { apparmor, selinux, intelRdt, mountExtensions, netDevices } = found.linux;
    expect(apparmor.enabled).toBe(isSupported("process", "apparmorProfile"));
    const labels = isSupported("process", "selinuxLabel") && isSupported("linux", "mountLabel");
    expect(selinux.enabled).toBe(labels);
    expect(intelRdt.enabled).toBe(isSupported("linux", "intelRdt"));
    expect(mountExtensions.idmap.enabled).toBe(isSupported("mounts", "*", "uidMappings"));
    expect(netDevices.enabled).toBe(isSupported("linux", "netDevices"));
    for (const hook of ["createContainer", "startContainer"]) {
      expect(found.hooks.includes(hook)).toBe(isSupported("hooks", hook));
    }
  });

  it("does not pass for runc", () => {
    expect(Object.keys(found.annotations)).toEqual(["org.opencontainers.runc.checkpoint.enabled"]);
  });
});
