import { mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { startSwapper } from "../harness/helpers/swapper.ts";
import { type Outside, outside } from "../harness/host/canary.ts";
import { byCase } from "../harness/peers.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { skipWithout, spec } from "../harness/spec.ts";

/**
 * Another container that shares a volume, or a build step, swaps paths of the root file system during the set-up. Whatever the runtime
 * finds, nothing outside changes, and there is either a container or an error that says why not.
 */

const CREATES = 8;

interface Race {
  readonly what: string;
  readonly clause: string;
  readonly mutate: (config: Config, sandbox: Sandbox) => void;
  /** Makes the pairs of folders that are swapped. */
  readonly prepare: (container: Container, host: Outside) => readonly (readonly [string, string])[];
}

/** A folder of the rootfs, and beside it a symbolic link to the host that takes its place. */
function folderAndLink(rootfs: string, name: string, target: string): readonly [string, string] {
  const path = join(rootfs, name);
  mkdirSync(path, { recursive: true });
  rmSync(`${path}.swap`, { recursive: true, force: true });
  symlinkSync(target, `${path}.swap`);
  return [path, `${path}.swap`];
}

const withoutDev = (config: Config) => {
  config.mounts = config.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
};

const RACES: readonly Race[] = [
  {
    what: "mount targets",
    clause: "CVE-2021-30465, CVE-2024-45310",
    mutate: ({ mounts }, sandbox) => {
      mkdirSync(sandbox.path("source"));
      writeFileSync(sandbox.path("source/file"), "");
      const bind = { type: "bind", options: ["bind"] };
      for (let index = 0; index < 5; index += 1) {
        mounts.push({ ...bind, destination: `/vol/a/made${index}`, source: sandbox.path("source") });
        mounts.push({ ...bind, destination: `/vol/b/made${index}`, source: sandbox.path("source/file") });
        mounts.push({ type: "tmpfs", destination: `/vol/a/b/tmp${index}`, source: "tmpfs" });
      }
    },
    prepare: ({ rootfs }, { path }) => [
      folderAndLink(rootfs, "vol/a", path),
      folderAndLink(rootfs, "vol/b", `../../../../../../..${path}`),
    ],
  },
  {
    what: "/dev",
    clause: "CVE-2026-41579, CVE-2026-47766",
    mutate: (config) => {
      withoutDev(config);
      config.linux.devices = ["net/tun", "one/two/three"].map((name) => ({
        type: "c",
        path: `/dev/${name}`,
        major: 1,
        minor: 3,
        uid: 1000,
      }));
    },
    prepare: ({ rootfs }, { path }) => [
      folderAndLink(rootfs, "dev/net", path),
      folderAndLink(rootfs, "dev/one", path),
      folderAndLink(rootfs, "dev", path),
    ],
  },
  {
    what: "/proc and /sys",
    clause: "CVE-2019-19921, CVE-2023-27561",
    mutate: (config) => {
      config.linux.sysctl = { "net.ipv4.ip_forward": "1" };
    },
    prepare: ({ rootfs }, { path }) => [
      folderAndLink(rootfs, "proc", path),
      folderAndLink(rootfs, "sys", path),
    ],
  },
  {
    what: "masked and read-only paths",
    clause: "CVE-2025-31133, CVE-2025-52881",
    mutate: (config) => {
      config.linux.maskedPaths = ["/hidden/one", "/hidden/canary", "/hidden"];
      config.linux.readonlyPaths = ["/fixed/one", "/fixed/canary", "/fixed"];
    },
    prepare: ({ rootfs }, { path }) => {
      const pairs = [folderAndLink(rootfs, "hidden", path), folderAndLink(rootfs, "fixed", path)];
      for (const [folder] of pairs) mkdirSync(join(folder, "one"));
      return pairs;
    },
  },
  {
    what: "the working directory and the files that a tmpfs copies up",
    clause: "CVE-2024-21626, CVE-2024-45310",
    mutate: (config) => {
      config.root.readonly = false;
      config.process.cwd = "/work/made/here";
      config.mounts.push({
        destination: "/copied",
        type: "tmpfs",
        source: "tmpfs",
        options: ["tmpcopyup"],
      });
    },
    prepare: ({ rootfs }, { path, file }) => {
      mkdirSync(join(rootfs, "copied/folder"), { recursive: true });
      writeFileSync(join(rootfs, "copied/folder/file"), "");
      const copied = join(rootfs, "copied/file");
      // As long as the file that it is swapped for: a runtime may copy only as many bytes as it has seen before.
      writeFileSync(copied, "x".repeat(100));
      symlinkSync(file, `${copied}.swap`);
      return [
        folderAndLink(rootfs, "work", path),
        [copied, `${copied}.swap`],
        folderAndLink(rootfs, "copied/inner", path),
      ];
    },
  },
];

const deviations = byCase({
  runc: {
    reason: "older than the fix of CVE-2026-41579: /dev is looked up again for each device",
    sometimes: true,
  },
  cases: ["/dev"],
});

for (const { what, clause, mutate, prepare } of RACES) {
  spec(
    `create and start while ${what} are swapped for symlinks: nothing on the host changes`,
    clause,
    async (sandbox) => {
      const host = outside(sandbox);
      const script = "cat /copied/file /copied/inner/canary 2>/dev/null; true";
      const container = sandbox.shell(script, (config) => mutate(config, sandbox));
      await startSwapper(sandbox, prepare(container, host));
      const results: string[] = [];
      for (let round = 0; round < CREATES; round += 1) {
        const { code, stderr } = await container.create();
        host.expectUntouched();
        if (code === 0 && (await container.start()).code === 0) {
          await container.until("stopped");
          expect(container.printed()).not.toContain("host");
        }
        if (code !== 0) expect(stderr).toMatch(IS_RUNTS ? /^runts: [^\n]{10,}\n/ : /./);
        results.push(code === 0 ? "a container" : "an error");
        expect(code).not.toBe(124);
        const deleted = await container.delete("--force");
        expect([deleted.code, deleted.stderr]).toEqual([0, ""]);
        host.expectUntouched();
      }
      expect(results).toHaveLength(CREATES);
    },
    deviations(what),
  );
}

/** Init waits for /tmp/now. Then it makes namespaces of its own, and mounts its own program over another there. */
const ESCAPE =
  "until [ -e /tmp/now ]; do sleep 0.01; done; " +
  "exec unshare --user --map-root-user --mount sh -c 'mount -o bind /replaced /program; exec sleep 1000'";

if (IS_RUNTS) {
  spec(
    "exec as root while init, a user without privileges, enters a user namespace of its own: no program of its choice is run as root",
    "user_namespaces(7): its mounts are its own",
    async (sandbox, context) => {
      skipWithout(context, "strace");
      const container = sandbox.shell(ESCAPE, (config) => {
        config.process.user = { uid: 1000, gid: 1000 };
      });
      writeFileSync(join(container.rootfs, "program"), "#!/bin/sh\necho the right one\n", { mode: 0o755 });
      writeFileSync(join(container.rootfs, "replaced"), "#!/bin/sh\necho another\n", { mode: 0o755 });
      await container.started();
      const { pid } = await container.state();
      const namespace = () => readlinkSync(`/proc/${pid}/ns/user`);
      const before = namespace();
      const inject = "inject=setns:delay_enter=3000000";
      const executed = container.exec(["/program"], {
        flags: ["--user", "0:0"],
        wrapper: ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=setns", "-e", inject],
      });
      // The runtime has read the namespaces by the time that it has a process to join them.
      await expect.poll(() => sandbox.processes().join("\n")).toMatch(/runts-init/);
      writeFileSync(join(container.rootfs, "tmp/now"), "");
      await expect.poll(namespace).not.toBe(before);
      const { stdout, stderr } = await executed;
      // On a slow machine, the process may have joined before init changed its namespace.
      if (stdout !== "the right one\n")
        expect([stdout, stderr]).toEqual([
          "",
          "runts: the container's init has entered another user namespace just now\n",
        ]);
    },
  );
}
