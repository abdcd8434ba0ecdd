import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { type Config, type Mount, setNamespace, writableCgroup } from "../harness/config.ts";
import { type Container, succeed } from "../harness/container.ts";
import { running as runningIn } from "../harness/exec.ts";
import { mapNoRoot, mappedShell } from "../harness/host/user-namespace.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice: crun's mounts add and remove; promise: all or none, mounts list";

/** Debian's crun does not have the command yet, and runc never had it. */
function live(title: string, body: (sandbox: Sandbox) => Promise<void>): void {
  if (IS_RUNTS) spec(title, CLAUSE, body);
}

let files = 0;

function mounts(sandbox: Sandbox, action: string, { id }: Container, list: unknown): Promise<Result> {
  files += 1;
  const file = sandbox.path(`mounts-${files}.json`);
  writeFileSync(file, JSON.stringify(list));
  return sandbox.invoke(["mounts", action, id, file]);
}

/** A running container with a writable rootfs, where mount points can be made. */
function running(sandbox: Sandbox, mutate: (config: Config) => void = () => undefined): Promise<Container> {
  return runningIn(sandbox, (config) => {
    config.root.readonly = false;
    mutate(config);
  });
}

/** A folder of the host with a file in it. */
function folder(sandbox: Sandbox, name = "source"): string {
  const path = sandbox.path(name);
  mkdirSync(path);
  writeFileSync(`${path}/file`, `of ${name}\n`);
  return path;
}

async function output(container: Container, ...command: string[]): Promise<string> {
  const { stdout, stderr } = await container.exec(command);
  return stdout + stderr;
}

function mountsOf(container: Container): Promise<string> {
  return output(container, "cat", "/proc/self/mounts");
}

async function runningInUserNamespace(sandbox: Sandbox): Promise<Container> {
  const container = mappedShell(sandbox, "exec sleep 1000", (config) => {
    config.root.readonly = false;
  });
  await container.started();
  return container;
}

live("mounts add, a bind mount: running processes see it until it is removed", async (sandbox) => {
  const container = await running(sandbox);
  const list: Mount[] = [{ destination: "/mnt/new", source: folder(sandbox), options: ["rbind", "ro"] }];
  expect(succeed("mounts add", await mounts(sandbox, "add", container, list)).stdout).toBe("");
  expect(await output(container, "cat", "/mnt/new/file")).toBe("of source\n");
  expect(await output(container, "touch", "/mnt/new/x")).toMatch(/Read-only file system/);
  succeed("mounts remove", await mounts(sandbox, "remove", container, list));
  expect(await output(container, "ls", "/mnt/new")).toBe("");
});

live("mounts add and remove in a user namespace without root: mounted, and unmounted", async (sandbox) => {
  const container = await running(sandbox, mapNoRoot);
  const list: Mount[] = [{ destination: "/tmp", type: "tmpfs", source: "tmpfs" }];
  succeed("mounts add", await mounts(sandbox, "add", container, list));
  expect(await output(container, "stat", "-c", "%u:%g", "/tmp")).toBe("7:8\n");
  succeed("mounts remove", await mounts(sandbox, "remove", container, list));
  expect(await mountsOf(container)).not.toContain(" /tmp tmpfs ");
});

live("mounts add, a container that owns its cgroup: mounted", async (sandbox) => {
  const container = mappedShell(sandbox, "exec sleep 1000", (config) => {
    writableCgroup(config);
    config.root.readonly = false;
  });
  await container.started();
  const list: Mount[] = [{ destination: "/mnt/new", type: "tmpfs", source: "tmpfs" }];
  succeed("mounts add", await mounts(sandbox, "add", container, list));
  expect(await mountsOf(container)).toContain(" /mnt/new tmpfs ");
});

live(
  "mounts add, a cgroup mount without a cgroup namespace: the host's hierarchy, read-only",
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      setNamespace(config, "cgroup", undefined);
      config.mounts = config.mounts.filter(({ type }) => type !== "cgroup");
    });
    const list: Mount[] = [{ destination: "/mnt/all", type: "cgroup2", source: "cgroup", options: ["ro"] }];
    succeed("mounts add", await mounts(sandbox, "add", container, list));
    expect(await output(container, "ls", "/mnt/all")).toContain(`${container.id}\n`);
    expect(await output(container, "mkdir", `/mnt/all/${container.id}/x`)).toMatch(/Read-only file system/);
  },
);

live("mounts add, several: mounted in the listed order, each with its type and options", async (sandbox) => {
  const container = await running(sandbox);
  const source = folder(sandbox);
  const list: Mount[] = [
    { destination: "/mnt", type: "tmpfs", source: "scratch", options: ["size=64k", "nosuid", "mode=700"] },
    { destination: "/mnt/inner", source, options: ["bind"] },
    { destination: "/mnt/a-file", source: `${source}/file`, options: ["bind"] },
    { destination: "/tmp/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
    { destination: "/tmp/queue", type: "mqueue", source: "mqueue" },
  ];
  succeed("mounts add", await mounts(sandbox, "add", container, list));
  expect(await output(container, "cat", "/mnt/inner/file", "/mnt/a-file")).toBe("of source\nof source\n");
  const seen = await mountsOf(container);
  expect(seen).toMatch(/^scratch \/mnt tmpfs rw,nosuid,.*size=64k,mode=700/m);
  expect(seen).toMatch(/^sysfs \/tmp\/sys sysfs ro,/m);
  expect(seen).toMatch(/^mqueue \/tmp\/queue mqueue rw/m);
  succeed("mounts remove", await mounts(sandbox, "remove", container, list));
  expect(await mountsOf(container)).not.toMatch(/ \/mnt| \/tmp\/(sys|queue)/);
});

live("mounts add, tmpfs with tmpcopyup: the content of the directory is in it", async (sandbox) => {
  const container = await running(sandbox);
  const list: Mount[] = [
    { destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "ro"] },
  ];
  succeed("mounts add", await mounts(sandbox, "add", container, list));
  expect(await output(container, "cat", "/etc/group")).toMatch(/^root:x:0:/);
  expect(await mountsOf(container)).toMatch(/ \/etc tmpfs ro/);
});

live("mounts add, one fails: the ones before it are unmounted, and the error names it", async (sandbox) => {
  const container = await running(sandbox);
  symlinkSync("/run", `${container.rootfs}/by-link`);
  const list: Mount[] = [
    { destination: "/mnt", type: "tmpfs", source: "tmpfs" },
    { destination: "/by-link/new", type: "tmpfs", source: "tmpfs" },
    { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["size=64k"] },
    { destination: "/var/x", source: sandbox.path("missing"), options: ["bind"] },
  ];
  expectRefusal(await mounts(sandbox, "add", container, list), /\/3\b.*missing.*no such file or directory/);
  expect(await mountsOf(container)).not.toMatch(/ \/(mnt|tmp|run\/new|var\/x) /);
});

live("mounts add, an invalid list: refused with line and pointer, nothing is mounted", async (sandbox) => {
  const container = await running(sandbox);
  const cases: [unknown, RegExp][] = [
    [{ destination: "/mnt" }, /must be an array/],
    [[{ source: "/tmp" }], /\/0.*destination/],
    [[{ destination: "/mnt", type: "tmpfs", options: [3] }], /\/0\/options\/0/],
    [[{ destination: "/mnt", type: "tmpfs", options: ["idmap"] }], /\/0\/options\/0: needs uidMappings/],
    [[{ destination: "/", type: "tmpfs" }], /\/0\/destination: a mount on \//],
    [[{ destination: "/proc/sys", type: "tmpfs" }], /\/0: .*inside \/proc/],
    [[{ destination: "/mnt", type: "proc", source: "proc" }], /\/0\/type: a new procfs/],
    [[{ destination: "/mnt", type: "no-such-fs" }], /\/0: .*no-such-fs/],
  ];
  const before = await mountsOf(container);
  for (const [list, words] of cases) expectRefusal(await mounts(sandbox, "add", container, list), words);
  expect(await mountsOf(container)).toBe(before);
});

live(
  "mounts add, a container with a user namespace: host folders are bound, with idmap by the container's ids",
  async (sandbox) => {
    const container = await runningInUserNamespace(sandbox);
    const source = folder(sandbox);
    chownSync(`${source}/file`, 7, 7);
    const list: Mount[] = [
      { destination: "/mnt/plain", source, options: ["bind"] },
      { destination: "/mnt/mapped", source, options: ["bind", "idmap"] },
      { destination: "/tmp", type: "tmpfs", source: "tmpfs" },
    ];
    succeed("mounts add", await mounts(sandbox, "add", container, list));
    const show = ["stat", "-c", "%u", "/mnt/plain/file", "/mnt/mapped/file", "/tmp"];
    expect(await output(container, ...show)).toBe("65534\n7\n0\n");
    succeed("mounts remove", await mounts(sandbox, "remove", container, list));
    expect(await mountsOf(container)).not.toMatch(/ \/(mnt|tmp)/);
  },
);

live("mounts add with uidMappings: ids on disk appear mapped", async (sandbox) => {
  const container = await running(sandbox);
  const source = folder(sandbox);
  chownSync(`${source}/file`, 7, 8);
  const map = (containerID: number, hostID: number) => [{ containerID, hostID, size: 1 }];
  const ids = { uidMappings: map(7, 1007), gidMappings: map(8, 1008) };
  const list: Mount[] = [{ destination: "/mnt", source, options: ["bind"], ...ids }];
  succeed("mounts add", await mounts(sandbox, "add", container, list));
  expect(await output(container, "stat", "-c", "%u:%g", "/mnt/file")).toBe("1007:1008\n");
});

live("mounts add, a destination through a symbolic link: stays in the container", async (sandbox) => {
  const container = sandbox.container((config) => {
    config.process.args = ["sleep", "1000"];
    config.root.readonly = false;
  });
  const outside = folder(sandbox, "outside");
  symlinkSync(`../../../../../..${outside}`, `${container.rootfs}/escape`);
  await container.started();
  const list: Mount[] = [{ destination: "/escape/in", source: folder(sandbox), options: ["bind"] }];
  succeed("mounts add", await mounts(sandbox, "add", container, list));
  expect(await output(container, "cat", `${outside}/in/file`)).toBe("of source\n");
  expect(execFileSync("ls", [outside], { encoding: "utf8" })).toBe("file\n");
});

live(
  "mounts add with rprivate, a mount on the host afterwards: does not reach the container",
  async (sandbox) => {
    const container = await running(sandbox);
    const source = folder(sandbox);
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", source]);
    sandbox.atEnd(() => void execFileSync("umount", ["-R", source]));
    execFileSync("mount", ["--make-shared", source]);
    mkdirSync(`${source}/sub`);
    const list: Mount[] = [{ destination: "/mnt", source, options: ["rbind", "rprivate"] }];
    succeed("mounts add", await mounts(sandbox, "add", container, list));
    execFileSync("mount", ["-t", "tmpfs", "later", `${source}/sub`]);
    expect(await mountsOf(container)).not.toMatch(/^later/m);
  },
);

live("mounts remove, a path that is not a mount point, or /: refused by name", async (sandbox) => {
  const container = await running(sandbox);
  const remove = (destination: string): Promise<Result> =>
    mounts(sandbox, "remove", container, [{ destination, type: "tmpfs" }]);
  expectRefusal(await remove("/var"), /\/0\/destination: \/var is not a mount point/);
  expectRefusal(await remove("/missing"), /\/0\/destination: .*no such file or directory/);
  expectRefusal(await remove("/"), /\/0\/destination: the root file system/);
});

live("mounts list: shows the mounts as a table and as JSON", async (sandbox) => {
  const container = await running(sandbox);
  const source = folder(sandbox);
  const list: Mount[] = [{ destination: "/mnt/a b", source, options: ["bind", "ro", "nosuid"] }];
  succeed("mounts add", await mounts(sandbox, "add", container, list));
  const json = await sandbox.invoke(["mounts", "list", "--format", "json", container.id]);
  const found: unknown = JSON.parse(json.stdout);
  expect(found).toContainEqual({
    destination: "/mnt/a b",
    type: expect.any(String),
    source: expect.any(String),
    root: expect.stringContaining(source),
    options: expect.arrayContaining(["ro", "nosuid"]),
  });
  const { stdout } = await sandbox.invoke(["mounts", "list", container.id]);
  expect(stdout).toMatch(/^DESTINATION +TYPE +SOURCE +OPTIONS\n/);
  expect(stdout).toMatch(/^\/proc +proc +proc +rw/m);
  expect(stdout).toMatch(/^\/mnt\/a b +.*ro,nosuid/m);
});

live(
  "mounts add, a container that is created, paused, stopped or unknown: allowed only when created",
  async (sandbox) => {
    const list: Mount[] = [{ destination: "/mnt", type: "tmpfs", source: "tmpfs" }];
    const container = sandbox.container((config) => {
      config.process.args = ["sleep", "1000"];
    });
    succeed("create", await container.create());
    succeed("mounts add", await mounts(sandbox, "add", container, list));
    succeed("start", await container.start());
    expect(await mountsOf(container)).toMatch(/ \/mnt tmpfs /);
    succeed("pause", await sandbox.invoke(["pause", container.id]));
    expectRefusal(await mounts(sandbox, "add", container, list), /cannot change a paused container/);
    succeed("resume", await sandbox.invoke(["resume", container.id]));
    await container.kill("KILL");
    await expect.poll(async () => (await container.state()).status).toBe("stopped");
    expectRefusal(await mounts(sandbox, "add", container, list), /container not running/);
    expectRefusal(await sandbox.invoke(["mounts", "list", "nobody"]), /does not exist/);
  },
);

live("mounts add, a container without a mount namespace: refused", async (sandbox) => {
  const container = await running(sandbox, (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "mount");
    config.mounts = [];
    config.linux.maskedPaths = [];
    config.linux.readonlyPaths = [];
  });
  const list: Mount[] = [{ destination: "/mnt", type: "tmpfs", source: "tmpfs" }];
  expectRefusal(await mounts(sandbox, "add", container, list), /no mount namespace of its own/);
});

live("mounts with an unknown action, or without a file: usage error", async (sandbox) => {
  const container = await running(sandbox);
  expectRefusal(await sandbox.invoke(["mounts", "change", container.id]), /must be add, remove or list/);
  expectRefusal(await sandbox.invoke(["mounts", "add", container.id]), /needs a file/);
  expectRefusal(await sandbox.invoke(["mounts", "list", container.id, "file"]), /takes no file/);
});
