import { expect } from "vitest";
import { bound, mountsOf, seen, tree } from "../harness/bound-tree.ts";
import type { Container } from "../harness/container.ts";
import { BASE, mappedShell } from "../harness/host/user-namespace.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config.md, Linux mount options";

/** Each recursive option, the flags that the source's mounts have, and what all of them have then. */
const RECURSIVE: readonly [option: string, before: string | undefined, after: readonly string[]][] = [
  ["ratime", "noatime", ["rw", "relatime"]],
  ["rdev", "nodev", ["rw", "relatime"]],
  ["rdiratime", "nodiratime", ["rw", "relatime"]],
  ["rexec", "noexec", ["rw", "relatime"]],
  ["rnoatime", undefined, ["rw", "noatime"]],
  ["rnodev", undefined, ["rw", "nodev", "relatime"]],
  ["rnodiratime", undefined, ["rw", "nodiratime", "relatime"]],
  ["rnoexec", undefined, ["rw", "noexec", "relatime"]],
  ["rnorelatime", undefined, ["rw", "relatime"]],
  ["rnostrictatime", "strictatime", ["rw", "relatime"]],
  ["rnosuid", undefined, ["rw", "nosuid", "relatime"]],
  ["rnosymfollow", undefined, ["rw", "relatime", "nosymfollow"]],
  ["rrelatime", "noatime", ["rw", "relatime"]],
  ["rro", undefined, ["ro", "relatime"]],
  ["rrw", "ro", ["rw", "relatime"]],
  ["rstrictatime", undefined, ["rw"]],
  ["rsuid", "nosuid", ["rw", "relatime"]],
  ["rsymfollow", "nosymfollow", ["rw", "relatime"]],
];

for (const [option, before, after] of RECURSIVE) {
  spec(
    `rbind with ${option}: ${after.join(",")} on the mount and on the one below`,
    CLAUSE,
    async (sandbox) => {
      const [top, sub] = await seen(bound(sandbox, tree(sandbox, before), ["rbind", option]));
      expect(top.flags).toEqual(after);
      expect(sub.flags).toEqual(after);
    },
  );
}

spec("rbind with rro, then rrw: the later option wins", CLAUSE, async (sandbox) => {
  const [top, sub] = await seen(bound(sandbox, tree(sandbox, undefined), ["rbind", "rro", "rrw"]));
  expect([top.flags, sub.flags]).toEqual([
    ["rw", "relatime"],
    ["rw", "relatime"],
  ]);
});

/** Options that clear a flag, and the flag that the source has. */
const CLEARING: readonly [option: string, flag: string][] = [
  ["dev", "nodev"],
  ["diratime", "nodiratime"],
  ["exec", "noexec"],
  ["rw", "ro"],
  ["suid", "nosuid"],
  ["symfollow", "nosymfollow"],
];

for (const [option, flag] of CLEARING) {
  spec(`bind with ${option} of a ${flag} source: cleared here, not below`, CLAUSE, async (sandbox) => {
    const [top, sub] = await seen(bound(sandbox, tree(sandbox, flag), ["rbind", option]));
    expect(top.flags).not.toContain(flag);
    expect(sub.flags).toContain(flag);
  });
}

for (const [option, flag] of [
  ["nodev", "nodev"],
  ["noexec", "noexec"],
  ["nosuid", "nosuid"],
  ["noatime", "noatime"],
  ["nodiratime", "nodiratime"],
  ["nosymfollow", "nosymfollow"],
  ["ro", "ro"],
] as const) {
  spec(
    `rbind with ${option}: set here, not below`,
    `${CLAUSE}: only r-options are recursive`,
    async (sandbox) => {
      const [top, sub] = await seen(bound(sandbox, tree(sandbox, undefined), ["rbind", option]));
      expect(top.flags).toContain(flag);
      expect(sub.flags).toEqual(["rw", "relatime"]);
    },
  );
}

const QUIET = "ro,nosuid,nodev,noexec";

/**
 * Flags of a source, options of its bind mount, and the flags that the mount then has. As in runc: if one option names a flag of mount(2),
 * the mount loses all flags of the source that no option names, except access times, which it loses when an option sets one.
 */
const NAMED: readonly [source: string, options: string, flags: string][] = [
  [QUIET, "", `${QUIET},relatime`],
  [QUIET, "rprivate", `${QUIET},relatime`],
  [QUIET, "rnosuid", `${QUIET},relatime`],
  [QUIET, "defaults", `${QUIET},relatime`],
  [QUIET, "rprivate,rw", "rw,relatime"],
  [QUIET, "nosuid", "rw,nosuid,relatime"],
  [QUIET, "ro", "ro,relatime"],
  [QUIET, "ro,nosuid,nodev,noexec", `${QUIET},relatime`],
  [QUIET, "exec", "rw,relatime"],
  [QUIET, "suid", "rw,relatime"],
  [QUIET, "ro,rw", "rw,relatime"],
  [QUIET, "atime", "rw,relatime"],
  [QUIET, "norelatime", "rw,relatime"],
  [QUIET, "noatime", "rw,noatime"],
  [QUIET, "sync", "rw,relatime"],
  [QUIET, "async", "rw,relatime"],
  [QUIET, "silent", "rw,relatime"],
  ["nosymfollow", "", "rw,relatime,nosymfollow"],
  ["nosymfollow", "ro", "ro,relatime"],
  ["noatime,nodiratime", "", "rw,noatime,nodiratime"],
  ["noatime,nodiratime", "ro,nosuid", "ro,nosuid,noatime,nodiratime"],
  ["noatime,nodiratime", "atime", "rw,noatime,nodiratime"],
  ["noatime,nodiratime", "diratime", "rw,noatime"],
  ["noatime,nodiratime", "noatime", "rw,noatime"],
  ["noatime,nodiratime", "relatime", "rw,relatime"],
  ["noatime,nodiratime", "strictatime", "rw"],
  ["noatime", "nodiratime", "rw,nodiratime,relatime"],
  ["strictatime", "rw", "rw"],
  ["strictatime", "nodiratime", "rw,nodiratime,relatime"],
];

function listOf(words: string): string[] {
  return words === "" ? [] : words.split(",");
}

for (const [flags, options, expected] of NAMED) {
  const title = `rbind of a ${flags} source with [${options}]: ${expected}, and nothing changes below`;
  spec(title, `${CLAUSE}; practice of runc`, async (sandbox) => {
    const [top, sub] = await seen(bound(sandbox, tree(sandbox, flags), ["rbind", ...listOf(options)]));
    expect(top.flags).toEqual(listOf(expected));
    for (const flag of listOf(flags)) if (flag !== "strictatime") expect(sub.flags).toContain(flag);
  });
}

spec(
  "remount with ro of a mount with nosuid,nodev,noexec: these stay",
  `${CLAUSE}: remount; mount(8)`,
  async (sandbox) => {
    const container = bound(sandbox, tree(sandbox, undefined), ["rbind", "nosuid", "nodev", "noexec"]);
    container.config.mounts.push({ destination: "/mnt", options: ["remount", "bind", "ro"] });
    container.writeConfig();
    const [top] = await seen(container);
    expect(top.flags).toEqual(["ro", "nosuid", "nodev", "noexec", "relatime"]);
  },
);

spec("remount: changes the flags of an earlier mount", `${CLAUSE}: remount`, async (sandbox) => {
  const container = bound(sandbox, tree(sandbox, undefined), ["rbind"]);
  container.config.mounts.push({ destination: "/mnt", options: ["remount", "bind", "ro", "nosuid"] });
  container.config.mounts.push({ destination: "/mnt/sub", options: ["remount", "bind", "noexec"] });
  container.writeConfig();
  const [top, sub] = await seen(container);
  expect(top.flags).toEqual(expect.arrayContaining(["ro", "nosuid"]));
  expect(sub.flags).toEqual(expect.arrayContaining(["rw", "noexec"]));
});

/** In a user namespace the flags of the host's mounts are locked: mount_namespaces(7). */
function locked(sandbox: Sandbox, flags: string, options: readonly string[]): Container {
  const source = tree(sandbox, flags);
  return mappedShell(sandbox, "grep ' /mnt' /proc/self/mountinfo", (config) => {
    config.root.readonly = false;
    config.mounts.push({ destination: "/mnt", type: "bind", source, options: [...options] });
  });
}

for (const flag of ["nosuid", "nodev", "noexec", "ro", "noatime"]) {
  spec(
    `user namespace, rbind with another flag of a ${flag} source: ${flag} stays`,
    "runc#3805",
    async (sandbox) => {
      const other = flag === "nodev" ? "nosuid" : "nodev";
      const [top, sub] = await seen(locked(sandbox, flag, ["rbind", other]));
      expect(top.flags).toEqual(expect.arrayContaining([flag, other]));
      expect(sub.flags).toContain(flag);
    },
  );
}

/** The same where the kernel has locked the source's flags: named flags are added, and none is lost. */
const NAMED_AND_LOCKED: readonly [source: string, options: string, flags: string][] = [
  [QUIET, "", `${QUIET},relatime`],
  [QUIET, "rprivate", `${QUIET},relatime`],
  [QUIET, "nosuid", `${QUIET},relatime`],
  [QUIET, "ro", `${QUIET},relatime`],
  [QUIET, "relatime", `${QUIET},relatime`],
  [QUIET, "sync", `${QUIET},relatime`],
  ["ro", "exec", "ro,relatime"],
  ["nosuid,noexec", "rprivate,rw", "rw,nosuid,noexec,relatime"],
  ["nosuid", "ro,nodev", "ro,nosuid,nodev,relatime"],
  ["noatime,nodiratime", "nosuid", "rw,nosuid,noatime,nodiratime"],
  ["noatime,nodiratime", "noatime", "rw,noatime,nodiratime"],
  ["nosymfollow", "ro", "ro,relatime"],
];

for (const [flags, options, expected] of NAMED_AND_LOCKED) {
  const title = `user namespace, rbind of a ${flags} source with [${options}]: ${expected}`;
  spec(title, "runc#3805; mount_namespaces(7)", async (sandbox) => {
    const [top] = await seen(locked(sandbox, flags, ["rbind", ...listOf(options)]));
    expect(top.flags).toEqual(listOf(expected));
  });
}

spec(
  "user namespace, id-mapped bind of a nosuid,nodev,noexec source with ro: these stay",
  "practice of runc; mount_namespaces(7)",
  async (sandbox) => {
    const container = locked(sandbox, "nosuid,nodev,noexec", ["rbind", "idmap", "ro"]);
    const mappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
    Object.assign(container.config.mounts.at(-1) ?? {}, { uidMappings: mappings, gidMappings: mappings });
    container.writeConfig();
    const flags = mountsOf(await container.output()).get("/mnt")?.flags;
    expect(flags).toEqual(["ro", "nosuid", "nodev", "noexec", "relatime", "idmapped"]);
  },
);

for (const [flag, option] of [
  ["nosuid", "suid"],
  ["nodev", "dev"],
  ["noexec", "exec"],
  ["ro", "rw"],
  ["noatime", "relatime"],
] as const) {
  spec(
    `user namespace, bind with ${option} of a ${flag} source: error, nothing left`,
    "runc#3805",
    async (sandbox) => {
      const container = locked(sandbox, flag, ["rbind", option]);
      sandbox.settle();
      expectRefusal(
        await container.create(),
        IS_RUNTS ? /\/mounts\/7: .*\/mnt.*operation not permitted/ : undefined,
      );
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}
