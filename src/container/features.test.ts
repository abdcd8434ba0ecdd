import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
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

  it("does not pass for runc", () => {
    expect(Object.keys(found.annotations)).toEqual([
      "org.opencontainers.runc.checkpoint.enabled",
      "run.runts.landlock.abi",
    ]);
  });
});
