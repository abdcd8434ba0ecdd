import { mkdirSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config, Mount } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import { mappedShell } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const OPTIONS_OF_CRUN = "hands crun's options on as data of the bind mount";
const NO_BIND_OPTION = { reason: "refuses options that bind mounts don't have", from: "1.3" };
const NO_NOFOLLOW = { reason: "src-nofollow and dest-nofollow came with 1.22", before: "1.22" };

const CLAUSE = "crun(1), copy-symlink, dest-nofollow and src-nofollow";

/** A symbolic link of the host, to a file beside it. */
function hostLink(sandbox: Sandbox): string {
  writeFileSync(sandbox.path("target"), "of the host\n");
  symlinkSync("target", sandbox.path("link"));
  return sandbox.path("link");
}

/** Makes the rootfs writable, for mount points, and adds these mounts after the others. */
function withMounts(...mounts: Mount[]): (config: Config) => void {
  return (config) => {
    config.root.readonly = false;
    config.mounts.push(...mounts);
  };
}

async function expectRefused(sandbox: Sandbox, container: Container, words: RegExp): Promise<void> {
  sandbox.settle();
  expectRefusal(await container.create(), IS_RUNTS ? words : undefined);
  expect(await sandbox.traces()).toEqual([]);
}

for (const bind of ["bind", "rbind"]) {
  spec(
    `${bind} with copy-symlink of a symbolic link: the link is copied, nothing is mounted`,
    CLAUSE,
    async (sandbox) => {
      const mount = {
        destination: "/a/sym/link",
        source: hostLink(sandbox),
        options: [bind, "copy-symlink"],
      };
      const script = "readlink /a/sym/link; grep -c ' /a/sym' /proc/self/mountinfo; true";
      expect(await sandbox.shell(script, withMounts(mount)).output()).toBe("target\n0\n");
    },
    { runc: OPTIONS_OF_CRUN },
  );
}

spec(
  "bind with copy-symlink of a dangling link: the link is copied",
  CLAUSE,
  async (sandbox) => {
    symlinkSync("/no/where", sandbox.path("link"));
    const mount = { destination: "/link", source: sandbox.path("link"), options: ["bind", "copy-symlink"] };
    expect(await sandbox.shell("readlink /link", withMounts(mount)).output()).toBe("/no/where\n");
  },
  { runc: OPTIONS_OF_CRUN },
);

spec(
  "bind with copy-symlink into a tmpfs of the container: the link is made there",
  CLAUSE,
  async (sandbox) => {
    const tmpfs = { destination: "/mnt", type: "tmpfs", source: "tmpfs" };
    const mount = { destination: "/mnt/link", source: hostLink(sandbox), options: ["bind", "copy-symlink"] };
    const container = sandbox.shell("readlink /mnt/link", withMounts(tmpfs, mount));
    expect(await container.output()).toBe("target\n");
    expect(() => readlinkSync(join(container.rootfs, "mnt/link"))).toThrow();
  },
  { runc: OPTIONS_OF_CRUN },
);

spec(
  "bind with copy-symlink, the same link is there: no error",
  CLAUSE,
  async (sandbox) => {
    const mount = { destination: "/link", source: hostLink(sandbox), options: ["bind", "copy-symlink"] };
    const container = sandbox.shell("readlink /link", withMounts(mount));
    symlinkSync("target", join(container.rootfs, "link"));
    expect(await container.output()).toBe("target\n");
  },
  { runc: NO_BIND_OPTION },
);

const copyDeviations = byCase({
  runc: { reason: OPTIONS_OF_CRUN, before: "1.3" },
  cases: ["another link", "a file"],
});

for (const [what, make] of [
  ["another link", (path: string) => symlinkSync("targets", path)],
  ["a file", (path: string) => writeFileSync(path, "")],
  ["a directory", (path: string) => mkdirSync(path)],
] as const) {
  spec(
    `bind with copy-symlink, ${what} is there: error, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const mount = { destination: "/link", source: hostLink(sandbox), options: ["bind", "copy-symlink"] };
      const container = sandbox.shell("true", withMounts(mount));
      make(join(container.rootfs, "link"));
      await expectRefused(
        sandbox,
        container,
        /\/mounts\/7: \/link exists and is not a symbolic link to target/,
      );
    },
    copyDeviations(what),
  );
}

spec(
  "bind with copy-symlink of a file: mounted",
  CLAUSE,
  async (sandbox) => {
    hostLink(sandbox);
    const mount = {
      destination: "/file",
      source: sandbox.path("target"),
      options: ["bind", "copy-symlink", "ro"],
    };
    const script = "cat /file; grep -c ' /file ' /proc/self/mountinfo";
    expect(await sandbox.shell(script, withMounts(mount)).output()).toBe("of the host\n1\n");
  },
  { runc: NO_BIND_OPTION },
);

/** Prints /link and /elsewhere, to which the image's link leads. */
const SHOW_BOTH = "readlink /link || cat /link; cat /elsewhere";

function linkInImage(container: Container): Container {
  writeFileSync(join(container.rootfs, "elsewhere"), "of the image\n");
  symlinkSync("elsewhere", join(container.rootfs, "link"));
  return container;
}

spec(
  "bind with dest-nofollow on a symbolic link: covers the link, not its target",
  CLAUSE,
  async (sandbox) => {
    hostLink(sandbox);
    const mount = {
      destination: "/link",
      source: sandbox.path("target"),
      options: ["bind", "dest-nofollow"],
    };
    const container = linkInImage(sandbox.shell(SHOW_BOTH, withMounts(mount)));
    expect(await container.output()).toBe("of the host\nof the image\n");
  },
  { crun: NO_NOFOLLOW, runc: OPTIONS_OF_CRUN },
);

spec("bind without dest-nofollow on a symbolic link: covers its target", CLAUSE, async (sandbox) => {
  hostLink(sandbox);
  const mount = { destination: "/link", source: sandbox.path("target"), options: ["bind"] };
  const container = linkInImage(sandbox.shell("cat /link /elsewhere", withMounts(mount)));
  expect(await container.output()).toBe("of the host\nof the host\n");
});

for (const [where, shell] of [
  ["", (sandbox: Sandbox, mount: Mount) => sandbox.shell(SHOW_BOTH, withMounts(mount))],
  [
    ", in a user namespace",
    (sandbox: Sandbox, mount: Mount) => mappedShell(sandbox, SHOW_BOTH, withMounts(mount)),
  ],
] as const) {
  spec(
    `bind with src-nofollow and dest-nofollow of a link on a link${where}: one covers the other`,
    CLAUSE,
    async (sandbox) => {
      const options = ["bind", "src-nofollow", "dest-nofollow"];
      const mount = { destination: "/link", source: hostLink(sandbox), options };
      expect(await linkInImage(shell(sandbox, mount)).output()).toBe("target\nof the image\n");
    },
    { crun: NO_NOFOLLOW, runc: OPTIONS_OF_CRUN },
  );
}

spec(
  "bind with src-nofollow of a link to a directory: the link itself is mounted on a file",
  CLAUSE,
  async (sandbox) => {
    mkdirSync(sandbox.path("folder"));
    symlinkSync("folder", sandbox.path("link"));
    const mount = { destination: "/new", source: sandbox.path("link"), options: ["bind", "src-nofollow"] };
    expect(await sandbox.shell("readlink /new", withMounts(mount)).output()).toBe("folder\n");
  },
  { crun: "makes a directory as the mount point of a link to a directory", runc: OPTIONS_OF_CRUN },
);

const refusalDeviations = byCase({
  crun: { reason: "accepts src-nofollow for a mount that is not a bind", from: "1.22" },
  cases: ["src-nofollow"],
});

for (const [options, type, words] of [
  [["bind", "copy-symlink", "src-nofollow"], undefined, "copy-symlink can't be combined"],
  [["bind", "copy-symlink", "dest-nofollow"], undefined, "copy-symlink can't be combined"],
  [["src-nofollow"], "tmpfs", "are options of bind mounts"],
] as const) {
  spec(
    `mount with [${options.join(", ")}]: error, nothing left`,
    CLAUSE,
    async (sandbox) => {
      const mount = {
        destination: "/mnt",
        ...(type && { type }),
        source: hostLink(sandbox),
        options: [...options],
      };
      const container = sandbox.shell("true", withMounts(mount));
      await expectRefused(sandbox, container, new RegExp(`/mounts/7/options: .*${words}`));
    },
    refusalDeviations(options.join(", ")),
  );
}

if (IS_RUNTS) {
  spec("doctor, links copied and mounted: finds them in their places", CLAUSE, async (sandbox) => {
    const source = hostLink(sandbox);
    const container = await running(
      sandbox,
      withMounts(
        { destination: "/copied", source, options: ["bind", "copy-symlink"] },
        { destination: "/mounted", source, options: ["bind", "src-nofollow"] },
      ),
    );
    const { stdout } = await sandbox.invoke(["doctor", container.id]);
    expect(stdout).toMatch(/\/copied\s+a symbolic link to target/);
    expect(stdout).not.toMatch(/nothing is mounted there/);
  });

  for (const option of ["copy-symlink", "src-nofollow", "dest-nofollow"]) {
    spec(`mounts add with ${option}: refused by name`, CLAUSE, async (sandbox) => {
      const container = await running(sandbox);
      const list = [{ destination: "/link", source: hostLink(sandbox), options: ["bind", option] }];
      writeFileSync(sandbox.path("list.json"), JSON.stringify(list));
      const result = await sandbox.invoke(["mounts", "add", container.id, sandbox.path("list.json")]);
      expectRefusal(result, `/0/options/1: ${option} is not supported in a container that runs`);
    });
  }
}
