import { expect } from "vitest";
import { bound, seen, tree } from "../harness/bound-tree.ts";
import type { Container } from "../harness/container.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";
import { mappedShell } from "../harness/user-namespace.ts";

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

for (const [flag, option] of [
  ["nosuid", "suid"],
  ["nodev", "dev"],
  ["noexec", "exec"],
  ["ro", "rw"],
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
