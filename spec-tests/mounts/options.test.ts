import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { expect } from "vitest";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const FLAGS_ADD_UP = "flags add up: a later option does not take back an earlier one";
const NO_BIND_OPTION = { reason: "refuses options that bind mounts don't have", from: "1.3" };
const PROPAGATION_UNUSED = "the propagation of a mount has no effect in the container";

const CLAUSE = "config.md, Linux mount options";

/** Options and propagation of /mnt in the container, from its mountinfo. */
async function seen(
  sandbox: Sandbox,
  options: string[],
  type = "tmpfs",
): Promise<{ flags: string[]; propagation: string }> {
  mkdirSync(sandbox.path("source"));
  const container = sandbox.shell("grep ' /mnt ' /proc/self/mountinfo", (config) => {
    config.mounts.push({
      destination: "/mnt",
      type,
      source: type === "tmpfs" ? "tmpfs" : sandbox.path("source"),
      options,
    });
  });
  const fields = (await container.output()).trim().split(" ");
  const optional = fields.slice(6, fields.indexOf("-")).join(" ").replaceAll(/:\d+/g, "");
  const superblock = fields.at(-1)?.split(",") ?? [];
  const sync = superblock.filter(
    (option) => option === "sync" || option === "dirsync" || option === "lazytime" || option === "mand",
  );
  return { flags: [...(fields[5]?.split(",") ?? []), ...sync], propagation: optional };
}

const DEFAULTS = ["rw", "relatime"];

const tmpfsDeviations = byCase(
  { runc: "defaults is handed to the file system as data", cases: ["defaults"] },
  {
    crun: FLAGS_ADD_UP,
    cases: ["nosuid, suid", "nodev, dev", "noexec, exec", "ro, rw", "noatime, atime", "sync, async"],
  },
  {
    crun: "does not set MOUNT_ATTR__ATIME in attr_clr, which access times need (mount_setattr(2)), or diratime clears nothing",
    cases: ["nodiratime, diratime", "strictatime, nostrictatime"],
  },
  {
    crun: "does not know the option and hands it to the file system as data, or never undoes an earlier option",
    cases: [
      "iversion",
      "iversion, nosuid, noexec, sync, noatime, nosymfollow",
      "iversion, noiversion",
      "loud",
      "silent",
      "mand, nomand",
      "nosymfollow, symfollow",
    ],
  },
  { crun: "nosymfollow is not known", cases: ["nosymfollow"] },
);

for (const [options, expected] of [
  [[], DEFAULTS],
  [["defaults"], DEFAULTS],
  // As podman run --systemd=always has it.
  [[""], DEFAULTS],
  [["nosuid"], ["rw", "nosuid", "relatime"]],
  [["nodev"], ["rw", "nodev", "relatime"]],
  [["noexec"], ["rw", "noexec", "relatime"]],
  [["nosuid", "suid"], DEFAULTS],
  [["nodev", "dev"], DEFAULTS],
  [["noexec", "exec"], DEFAULTS],
  [["ro"], ["ro", "relatime"]],
  [["ro", "rw"], DEFAULTS],
  [["noatime"], ["rw", "noatime"]],
  [["nodiratime"], ["rw", "nodiratime", "relatime"]],
  [["strictatime"], ["rw"]],
  [["relatime"], DEFAULTS],
  [["noatime", "atime"], DEFAULTS],
  [["nodiratime", "diratime"], DEFAULTS],
  [["iversion"], DEFAULTS],
  [
    ["iversion", "nosuid", "noexec", "sync", "noatime", "nosymfollow"],
    ["rw", "nosuid", "noexec", "noatime", "nosymfollow", "sync"],
  ],
  [["iversion", "noiversion"], DEFAULTS],
  [["loud"], DEFAULTS],
  [["silent"], DEFAULTS],
  [
    ["mand", "nosuid"],
    ["rw", "nosuid", "relatime", "mand"],
  ],
  [["mand", "nomand"], DEFAULTS],
  [["lazytime", "nolazytime"], DEFAULTS],
  [["relatime", "norelatime"], DEFAULTS],
  [["strictatime", "nostrictatime"], DEFAULTS],
  [["nosymfollow", "symfollow"], DEFAULTS],
  [
    ["rw", "ro"],
    ["ro", "relatime"],
  ],
  [
    ["exec", "noexec"],
    ["rw", "noexec", "relatime"],
  ],
  [["nosymfollow"], ["rw", "relatime", "nosymfollow"]],
  [["sync"], ["rw", "relatime", "sync"]],
  [["dirsync"], ["rw", "relatime", "dirsync"]],
  [["lazytime"], ["rw", "relatime", "lazytime"]],
  [["sync", "async"], DEFAULTS],
] as const) {
  spec(
    `tmpfs with options [${options.map((option) => option || '""').join(", ")}]: ${expected.join(",")}`,
    CLAUSE,
    async (sandbox) => {
      expect((await seen(sandbox, [...options])).flags.sort()).toEqual([...expected].sort());
    },
    tmpfsDeviations(options.join(", ")),
  );
}

const bindDeviations = byCase(
  { runc: NO_BIND_OPTION, cases: ["bind, defaults"] },
  { crun: FLAGS_ADD_UP, cases: ["bind, ro, rw", "bind, noexec, exec"] },
  { crun: "nosymfollow is not known", cases: ["bind, nosymfollow"] },
);

for (const [options, expected] of [
  [["bind"], []],
  [["bind", "defaults"], []],
  [
    ["bind", "nosuid", "nodev"],
    ["nosuid", "nodev"],
  ],
  [
    ["rbind", "ro", "noexec"],
    ["ro", "noexec"],
  ],
  [["bind", "ro", "rw"], []],
  [["bind", "noexec", "exec"], []],
  [["bind", "noatime"], ["noatime"]],
  [["bind", "nosymfollow"], ["nosymfollow"]],
] as const) {
  spec(
    `bind mount with options [${options.join(", ")}]: applied to this mount`,
    CLAUSE,
    async (sandbox) => {
      const { flags } = await seen(sandbox, [...options], "bind");
      const plain = flags.filter((flag) => flag !== "rw" && flag !== "relatime");
      expect(plain.sort()).toEqual([...expected].sort());
      expect(flags.includes("rw")).toBe(!plain.includes("ro"));
    },
    bindDeviations(options.join(", ")),
  );
}

const propagationDeviations = byCase({
  crun: PROPAGATION_UNUSED,
  cases: ["shared", "rshared", "unbindable", "runbindable"],
});

for (const [option, expected] of [
  ["private", ""],
  ["rprivate", ""],
  ["shared", "shared"],
  ["rshared", "shared"],
  ["unbindable", "unbindable"],
  ["runbindable", "unbindable"],
] as const) {
  spec(
    `mount with ${option}: propagation is ${expected || "private"}`,
    `${CLAUSE}`,
    async (sandbox) => {
      expect((await seen(sandbox, [option])).propagation).toBe(expected);
    },
    propagationDeviations(option),
  );
}

spec(
  "bind mount with rslave: later mounts of the host appear in the container",
  `${CLAUSE}`,
  async (sandbox) => {
    const folder = sandbox.path("shared");
    mkdirSync(folder);
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", folder]);
    sandbox.atEnd(() => void execFileSync("umount", ["-R", folder]));
    execFileSync("mount", ["--make-shared", folder]);
    const container = sandbox.shell(
      "while [ ! -e /mnt/sub/go ]; do sleep 0.02; done; echo arrived",
      (config) => {
        config.mounts.push({
          destination: "/mnt",
          type: "bind",
          source: folder,
          options: ["rbind", "rslave"],
        });
      },
    );
    const result = await container.run({
      whileRunning: async () => {
        await expect.poll(async () => (await container.stateCommand()).stdout).toContain('"running"');
        mkdirSync(`${folder}/sub`);
        execFileSync("mount", ["-t", "tmpfs", "tmpfs", `${folder}/sub`]);
        execFileSync("touch", [`${folder}/sub/go`]);
      },
    });
    expect(result.stdout).toBe("arrived\n");
  },
  { crun: PROPAGATION_UNUSED },
);

/** A host folder with another mount below it. */
function nested(sandbox: Sandbox): string {
  const folder = sandbox.path("nested");
  mkdirSync(folder);
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", folder]);
  sandbox.atEnd(() => void execFileSync("umount", ["-R", folder]));
  mkdirSync(`${folder}/sub`);
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", `${folder}/sub`]);
  execFileSync("touch", [`${folder}/sub/deep`]);
  return folder;
}

for (const [options, script, expected] of [
  [["bind"], "ls /mnt/sub", ""],
  [["rbind"], "ls /mnt/sub", "deep\n"],
  [
    ["rbind", "ro"],
    "touch /mnt/x 2>/dev/null || echo top-ro; touch /mnt/sub/x && echo sub-rw",
    "top-ro\nsub-rw\n",
  ],
  [
    ["rbind", "rro"],
    "touch /mnt/x 2>/dev/null || echo top-ro; touch /mnt/sub/x 2>/dev/null || echo sub-ro",
    "top-ro\nsub-ro\n",
  ],
] as const) {
  spec(
    `${options.join(",")} of a folder with a mount below: recursive as the option says`,
    `${CLAUSE}`,
    async (sandbox) => {
      const folder = nested(sandbox);
      const container = sandbox.shell(script, (config) => {
        config.mounts.push({ destination: "/mnt", type: "bind", source: folder, options: [...options] });
      });
      expect(await container.output()).toBe(expected);
    },
  );
}

spec(
  "tmpfs with an option it does not know: error, nothing left",
  `${CLAUSE}: unknown options go to the file system`,
  async (sandbox) => {
    const container = sandbox.shell("true", (config) => {
      config.mounts.push({
        destination: "/mnt",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuchoption=1"],
      });
    });
    expectRefusal(await container.create(), inOurWords("/mounts/7: "));
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "bind mount with options of tmpfs: no error",
  "runtime-tools: mode=755,size=1k on a bind",
  async (sandbox) => {
    expect((await seen(sandbox, ["bind", "mode=755", "size=1k"], "bind")).flags).toContain("rw");
  },
  { runc: NO_BIND_OPTION },
);
