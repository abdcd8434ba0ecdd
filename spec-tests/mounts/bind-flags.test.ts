import { expect } from "vitest";
import type { Container } from "../harness/container.ts";
import { bound, mountsOf, seen, tree } from "../harness/host/bound-tree.ts";
import { BASE, mappedShell } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const ATIME_NOT_CLEARED =
  "does not set MOUNT_ATTR__ATIME in attr_clr, which access times need (mount_setattr(2)), or diratime clears nothing";
const HALF_CLEARED = {
  reason:
    "a recursive option that clears a flag does not undo an earlier one that sets it, and clears only half of the access times",
  before: "1.2",
};
const UNKNOWN_OPTION =
  "does not know the option and hands it to the file system as data, or never undoes an earlier option";
const NOT_REMOUNTED = {
  reason: "a bind mount whose options only clear flags is not remounted in 1.1",
  before: "1.2",
};
const NODIRATIME_STAYS =
  "the kernel keeps nodiratime, whatever clears it, unless an option sets access times";
const FLAGS_GO =
  "drops the source's flags even if no option names one; none can be cleared again once ro is named";
const FLAGS_STAY_WITH_RO = { reason: "with ro the source's flags stay", from: "1.28" };
const FLAGS_LOST =
  "copies the source outside of the user namespace, where no flag is locked, and loses its flags";
const REMOUNT_FAILS = { reason: "locked flags are kept since 1.2; in 1.1 the remount fails", before: "1.2" };
const FLAGS_LOST_WITH_RO = {
  reason: "copies the source outside of the user namespace and loses its flags; since 1.28 not with ro",
  before: "1.28",
};

const CLAUSE = "config.md, Linux mount options";

/** Each recursive option, the flags that the source's mounts have, and the flags that all of them have in the container. */
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

const recursiveDeviations = byCase(
  { crun: ATIME_NOT_CLEARED, runc: HALF_CLEARED, cases: ["ratime", "rnostrictatime"] },
  { crun: ATIME_NOT_CLEARED, cases: ["rdiratime", "rnoatime", "rnodiratime", "rrelatime", "rstrictatime"] },
  { crun: UNKNOWN_OPTION, cases: ["rnosymfollow", "rsymfollow"] },
);

for (const [option, before, after] of RECURSIVE) {
  spec(
    `rbind with ${option}: ${after.join(",")} on the mount and on the one below`,
    CLAUSE,
    async (sandbox) => {
      const [top, sub] = await seen(bound(sandbox, tree(sandbox, before), ["rbind", option]));
      expect(top.flags).toEqual(after);
      expect(sub.flags).toEqual(after);
    },
    recursiveDeviations(option),
  );
}

spec(
  "rbind with rro, then rrw: the later option wins",
  CLAUSE,
  async (sandbox) => {
    const [top, sub] = await seen(bound(sandbox, tree(sandbox, undefined), ["rbind", "rro", "rrw"]));
    expect([top.flags, sub.flags]).toEqual([
      ["rw", "relatime"],
      ["rw", "relatime"],
    ]);
  },
  { crun: UNKNOWN_OPTION, runc: HALF_CLEARED },
);

/** Options that clear a flag, and the flag that the source has. */
const CLEARING: readonly [option: string, flag: string][] = [
  ["dev", "nodev"],
  ["diratime", "nodiratime"],
  ["exec", "noexec"],
  ["rw", "ro"],
  ["suid", "nosuid"],
  ["symfollow", "nosymfollow"],
];

const clearedDeviations = byCase(
  { runc: NOT_REMOUNTED, cases: ["dev", "exec", "rw", "suid", "symfollow"] },
  { crun: ATIME_NOT_CLEARED, runc: NODIRATIME_STAYS, cases: ["diratime"] },
);

for (const [option, flag] of CLEARING) {
  spec(
    `bind with ${option} of a ${flag} source: cleared on this mount, not on the one below`,
    CLAUSE,
    async (sandbox) => {
      const [top, sub] = await seen(bound(sandbox, tree(sandbox, flag), ["rbind", option]));
      expect(top.flags).not.toContain(flag);
      expect(sub.flags).toContain(flag);
    },
    clearedDeviations(option),
  );
}

const setDeviations = byCase({ crun: UNKNOWN_OPTION, cases: ["nosymfollow"] });

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
    `rbind with ${option}: set on this mount, not on the one below`,
    `${CLAUSE}: only r-options are recursive`,
    async (sandbox) => {
      const [top, sub] = await seen(bound(sandbox, tree(sandbox, undefined), ["rbind", option]));
      expect(top.flags).toContain(flag);
      expect(sub.flags).toEqual(["rw", "relatime"]);
    },
    setDeviations(option),
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

const namedDeviations = byCase(
  {
    crun: FLAGS_GO,
    cases: [
      "ro,nosuid,nodev,noexec ",
      "ro,nosuid,nodev,noexec rprivate",
      "ro,nosuid,nodev,noexec rnosuid",
      "nosymfollow ",
    ],
  },
  {
    crun: FLAGS_GO,
    runc: {
      reason: "hands defaults on as data, which a bind mount refuses since 1.2",
      from: "1.2",
    },
    cases: ["ro,nosuid,nodev,noexec defaults"],
  },
  {
    runc: NOT_REMOUNTED,
    cases: [
      "ro,nosuid,nodev,noexec rprivate,rw",
      "ro,nosuid,nodev,noexec exec",
      "ro,nosuid,nodev,noexec suid",
      "ro,nosuid,nodev,noexec atime",
      "ro,nosuid,nodev,noexec norelatime",
      "ro,nosuid,nodev,noexec async",
    ],
  },
  { crun: FLAGS_STAY_WITH_RO, cases: ["ro,nosuid,nodev,noexec ro", "nosymfollow ro"] },
  { crun: FLAGS_GO, runc: NOT_REMOUNTED, cases: ["ro,nosuid,nodev,noexec ro,rw"] },
  {
    crun: "diratime clears nothing, as in runc",
    runc: NODIRATIME_STAYS,
    cases: ["noatime,nodiratime diratime"],
  },
);

for (const [flags, options, expected] of NAMED) {
  const title = `rbind of a ${flags} source with [${options}]: ${expected}, and nothing changes below`;
  spec(
    title,
    `${CLAUSE}; practice of runc`,
    async (sandbox) => {
      const [top, sub] = await seen(bound(sandbox, tree(sandbox, flags), ["rbind", ...listOf(options)]));
      expect(top.flags).toEqual(listOf(expected));
      for (const flag of listOf(flags)) if (flag !== "strictatime") expect(sub.flags).toContain(flag);
    },
    namedDeviations(`${flags} ${options}`),
  );
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
  {
    crun: "a remount replaces all flags, as in runc",
    runc: "remounts by mount(2), which replaces all flags",
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

/** A container in a user namespace, where the flags of the host's mounts are locked: mount_namespaces(7). */
function locked(sandbox: Sandbox, flags: string, options: readonly string[]): Container {
  const source = tree(sandbox, flags);
  return mappedShell(sandbox, "grep ' /mnt' /proc/self/mountinfo", (config) => {
    config.root.readonly = false;
    config.mounts.push({ destination: "/mnt", type: "bind", source, options: [...options] });
  });
}

const otherFlagDeviations = byCase(
  { crun: FLAGS_LOST, runc: REMOUNT_FAILS, cases: ["nosuid", "nodev", "noexec"] },
  { crun: FLAGS_LOST, cases: ["ro"] },
);

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
    otherFlagDeviations(flag),
  );
}

/** Like NAMED, but the kernel has locked the source's flags: named flags are added, and none is lost. */
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

const lockedDeviations = byCase(
  {
    crun: FLAGS_LOST,
    cases: [
      "ro,nosuid,nodev,noexec ",
      "ro,nosuid,nodev,noexec rprivate",
      "ro exec",
      "nosuid,noexec rprivate,rw",
    ],
  },
  {
    crun: FLAGS_LOST,
    runc: REMOUNT_FAILS,
    cases: [
      "ro,nosuid,nodev,noexec nosuid",
      "ro,nosuid,nodev,noexec relatime",
      "ro,nosuid,nodev,noexec sync",
    ],
  },
  { crun: FLAGS_LOST_WITH_RO, runc: REMOUNT_FAILS, cases: ["ro,nosuid,nodev,noexec ro", "nosuid ro,nodev"] },
  {
    crun: FLAGS_LOST,
    runc: "fails, since it drops locked access times that no option names",
    cases: ["noatime,nodiratime noatime"],
  },
  { crun: FLAGS_STAY_WITH_RO, cases: ["nosymfollow ro"] },
);

for (const [flags, options, expected] of NAMED_AND_LOCKED) {
  const title = `user namespace, rbind of a ${flags} source with [${options}]: ${expected}`;
  spec(
    title,
    "runc#3805; mount_namespaces(7)",
    async (sandbox) => {
      const [top] = await seen(locked(sandbox, flags, ["rbind", ...listOf(options)]));
      expect(top.flags).toEqual(listOf(expected));
    },
    lockedDeviations(`${flags} ${options}`),
  );
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
  { crun: FLAGS_LOST_WITH_RO, runc: REMOUNT_FAILS },
);

const clearedLockDeviations = byCase(
  { crun: FLAGS_LOST, runc: NOT_REMOUNTED, cases: ["suid", "dev", "exec", "rw"] },
  { crun: FLAGS_LOST, cases: ["relatime"] },
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
    clearedLockDeviations(option),
  );
}
