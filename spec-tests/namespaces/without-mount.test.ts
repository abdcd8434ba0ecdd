import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const MOUNTS_IN_THE_CALLERS =
  "without a mount namespace, mounts are made in the caller's, and other steps that need one happen there or not at all";

const CLAUSE = "config-linux.md, Namespaces: MUST inherit";
const UNDONE = "runtime.md, Lifecycle step 12: MUST be destroyed by undoing step 2";

function withoutMountNamespace(config: Config): void {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "mount");
  config.linux.maskedPaths = [];
  config.linux.readonlyPaths = [];
  config.root.readonly = false;
}

/** Mount points of the caller's own mount namespace that lie in the container's root. */
function mountsIn({ rootfs }: Container): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => `${point}/`.startsWith(`${rootfs}/`))
    .map((point) => point.slice(rootfs.length));
}

spec(
  "create without a mount namespace: its mounts are in the caller's mount namespace until delete",
  UNDONE,
  async (sandbox) => {
    const container = sandbox.shell(
      "ls -d /proc/1 && stat -f -c %T /dev/shm && exec sleep 1000",
      withoutMountNamespace,
    );
    await container.started();
    await expect.poll(() => container.printed()).toBe("/proc/1\ntmpfs");
    expect(mountsIn(container)).toEqual(expect.arrayContaining(["/proc", "/dev", "/dev/pts", "/dev/shm"]));
    succeed("delete", await container.delete("--force"));
    expect(mountsIn(container)).toEqual([]);
  },
  { both: MOUNTS_IN_THE_CALLERS },
);

spec(
  "run without any namespace: the program is in the container's root, with its mounts",
  CLAUSE,
  async (sandbox) => {
    const script =
      "readlink /proc/self/ns/mnt; readlink /proc/self/ns/pid; ls /; test -c /dev/null && echo device";
    const container = sandbox.shell(script, (config) => {
      withoutMountNamespace(config);
      config.linux.namespaces = [];
      delete config.hostname;
    });
    const lines = (await container.output()).trim().split("\n");
    const own = ["mnt", "pid"].map((type) => readlinkSync(`/proc/self/ns/${type}`));
    expect(lines.slice(0, 2)).toEqual(own);
    expect(lines).toContain("device");
    expect(lines.slice(2, -1).sort()).toEqual(readdirSync(container.rootfs).sort());
  },
  { both: MOUNTS_IN_THE_CALLERS },
);

spec(
  "run without a mount namespace, root.readonly: no writes to the rootfs",
  "config.md, root.readonly",
  async (sandbox) => {
    const container = sandbox.shell("touch /file 2>&1 || true", (config) => {
      withoutMountNamespace(config);
      config.root.readonly = true;
    });
    expect(await container.output()).toContain("Read-only file system");
    expect(existsSync(`${container.rootfs}/file`)).toBe(false);
  },
  { both: MOUNTS_IN_THE_CALLERS },
);

spec(
  "run without a mount namespace, devices: made, but not in the image's files",
  "config-linux.md, Devices",
  async (sandbox) => {
    const container = sandbox.shell("stat -c %t:%T /dev/own", (config) => {
      withoutMountNamespace(config);
      config.linux.devices = [{ type: "c", path: "/dev/own", major: 1, minor: 3 }];
    });
    expect(await container.output()).toBe("1:3\n");
    expect(existsSync(`${container.rootfs}/dev/own`)).toBe(false);
  },
  { both: MOUNTS_IN_THE_CALLERS },
);

spec(
  "run without a mount namespace, the program is missing: error, no mount left",
  "runtime.md, Errors: as if never tried",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      withoutMountNamespace(config);
      config.process.args = ["/no/such/program"];
    });
    expectRefusal(await container.run(), inOurWords("/process/args/0: "));
    expect(mountsIn(container)).toEqual([]);
    expect(await sandbox.traces()).toEqual([]);
  },
  { both: MOUNTS_IN_THE_CALLERS },
);

spec(
  "delete without a mount namespace, a rootfs that the engine has mounted: that mount stays",
  UNDONE,
  async (sandbox) => {
    const container = sandbox.shell("exec sleep 1000", withoutMountNamespace);
    execFileSync("mount", ["--bind", container.rootfs, container.rootfs]);
    sandbox.atEnd(() => void execFileSync("umount", ["-l", container.rootfs]));
    sandbox.settle();
    await container.started();
    succeed("delete", await container.delete("--force"));
    expect(mountsIn(container)).toEqual([""]);
  },
  { both: MOUNTS_IN_THE_CALLERS },
);

const deviations = byCase(
  { crun: MOUNTS_IN_THE_CALLERS, cases: ["maskedPaths", "readonlyPaths"] },
  { both: MOUNTS_IN_THE_CALLERS, cases: ["rootfsPropagation"] },
);

for (const [name, value] of [
  ["maskedPaths", ["/proc/keys"]],
  ["readonlyPaths", ["/proc/sys"]],
  ["rootfsPropagation", "rprivate"],
] as const) {
  spec(
    `create, linux.${name} without a mount namespace: refused by name, nothing left`,
    "config.md, Extensibility: invalid or unsupported values MUST generate an error",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        withoutMountNamespace(config);
        Object.assign(config.linux, { [name]: value });
      });
      expectRefusal(
        await container.create(),
        IS_RUNTS ? `/linux/${name}: needs a mount namespace` : undefined,
      );
      expect(await sandbox.traces()).toEqual([]);
    },
    deviations(name),
  );
}
