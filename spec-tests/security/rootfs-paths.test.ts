import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { outside } from "../harness/host/canary.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

/** Symlinks of the image lead out of its root file system: files and mounts that the runtime makes stay inside, or are refused. */

function bindAt(destination: string, source: string): (config: Config) => void {
  return ({ mounts }) => void mounts.push({ destination, type: "bind", source, options: ["bind"] });
}

/** Puts a symbolic link into the rootfs, in place of what is there. */
function link(container: Container, name: string, target: string): void {
  const path = join(container.rootfs, name);
  rmSync(path, { recursive: true, force: true });
  symlinkSync(target, path);
}

for (const [kind, destination] of [
  ["the target itself", "/escape"],
  ["a folder of the target", "/escape/target"],
] as const) {
  spec(
    `create, a mount, ${kind} is a symlink to a host folder: mounted inside the rootfs`,
    "CVE-2019-18837",
    async (sandbox) => {
      const host = outside(sandbox);
      for (const target of [host.path, `../../../../../../../..${host.path}`]) {
        mkdirSync(sandbox.path(`source${target.length}`));
        const source = sandbox.path(`source${target.length}`);
        writeFileSync(join(source, "file"), "mounted\n");
        const container = sandbox.shell(`cat ${destination}/file`, bindAt(destination, source));
        link(container, "escape", target);
        mkdirSync(join(container.rootfs, host.path), { recursive: true });
        expect(await container.output()).toBe("mounted\n");
        host.expectUntouched();
      }
    },
  );
}

for (const [type, name] of [
  ["proc", "proc"],
  ["sysfs", "sys"],
] as const) {
  spec(
    `create, /${name} a symlink to another folder of the image: ${type} is not mounted through it`,
    "CVE-2019-19921",
    async (sandbox) => {
      const container = sandbox.container();
      mkdirSync(join(container.rootfs, "fake"));
      link(container, name, "fake");
      expectRefusal(await container.create(), inOurWords(name));
      expect(readdirSync(join(container.rootfs, "fake"))).toEqual([]);
      expect(await sandbox.traces()).toEqual([]);
    },
  );

  spec(
    `create, /${name} a dangling symlink into somebody else's volume: nothing is made in the volume`,
    "CVE-2023-27561, CVE-2023-28642",
    async (sandbox) => {
      const volume = outside(sandbox);
      const container = sandbox.container(({ mounts }) => {
        mounts.unshift({ destination: "/volume", type: "bind", source: volume.path, options: ["bind"] });
      });
      link(container, name, `volume/${name}`);
      expectRefusal(await container.create(), inOurWords(name));
      volume.expectUntouched();
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}

for (const [kind, source, destination] of [
  ["folder", "", "/link/made"],
  ["file", "file", "/link"],
] as const) {
  spec(
    `create, missing mount target behind a symlink to the host: no ${kind} is made there`,
    "CVE-2024-45310",
    async (sandbox) => {
      const host = outside(sandbox);
      mkdirSync(sandbox.path("source"));
      writeFileSync(sandbox.path("source/file"), "");
      const container = sandbox.container(bindAt(destination, join(sandbox.path("source"), source)));
      link(container, "link", kind === "file" ? join(host.path, "made") : host.path);
      await container.run();
      host.expectUntouched();
    },
  );
}

spec(
  "create, symlinks to the host at all paths where a runtime might write: no file appears on the host",
  "CVE-2025-24965",
  async (sandbox) => {
    const host = outside(sandbox);
    const container = sandbox.container((config) => {
      config.root.readonly = false;
      // crun's handler writes files. runts refuses it, and would make no container.
      if (!IS_RUNTS) config.annotations = { "run.oci.handler": "krun", "krun.cpus": "1" };
      config.process.cwd = "/link/cwd";
      config.linux.devices = [{ type: "c", path: "/link/null", major: 1, minor: 3 }];
    });
    link(container, "link", host.path);
    for (const name of [
      ".krun_config.json",
      "etc/hostname",
      "etc/hosts",
      "etc/resolv.conf",
      "etc/mtab",
      "run",
    ]) {
      link(container, name, join(host.path, "made"));
    }
    await container.run({ env: { NOTIFY_SOCKET: sandbox.path("notify") } });
    host.expectUntouched();
  },
);

for (const relative of [false, true]) {
  spec(
    `create, /dev a symlink to a host folder${relative ? ", relative" : ""}: no device or link is made there`,
    "CVE-2026-41579",
    async (sandbox) => {
      const host = outside(sandbox);
      const container = sandbox.container((config) => {
        config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
      });
      link(container, "dev", relative ? `../../../../../../..${host.path}` : host.path);
      mkdirSync(join(container.rootfs, host.path), { recursive: true });
      expectRefusal(await container.create(), inOurWords("/dev"));
      host.expectUntouched();
      expect(await sandbox.traces()).toEqual([]);
    },
    { both: "older than the fix of CVE-2026-41579 and CVE-2026-47766: /dev is followed" },
  );
}

spec(
  "create, a folder of /dev a symlink to the host: devices below it are not made there",
  "CVE-2026-47766",
  async (sandbox) => {
    const host = outside(sandbox);
    const container = sandbox.container((config) => {
      config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
      config.linux.devices = [
        { type: "c", path: "/dev/net/tun", major: 10, minor: 200, uid: 1000 },
        { type: "p", path: "/dev/pipes/made" },
      ];
    });
    link(container, "dev/net", host.path);
    link(container, "dev/pipes", `../../../../../../..${host.path}`);
    await container.run();
    host.expectUntouched();
  },
);
