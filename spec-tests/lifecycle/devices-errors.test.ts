import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { succeed } from "../harness/container.ts";
import {
  access,
  added,
  devices,
  hostNode,
  list,
  live,
  NOTHING,
  NUMBERS,
  output,
  ruleOf,
  running,
  traces,
} from "../harness/helpers/added-devices.ts";
import { mappedShell } from "../harness/host/user-namespace.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { stateFile } from "../harness/state-record.ts";

/** What `devices add` and `devices remove` refuse. The container is as it was. */

live("devices add, something else is at the path: EEXIST, and nothing has changed", async (sandbox) => {
  const container = await running(sandbox);
  await output(container, "touch /file; mkdir /folder; mkfifo /fifo; ln -s /nowhere /link");
  const source = hostNode(sandbox);
  for (const path of ["/file", "/folder", "/fifo", "/dev/null"])
    expectRefusal(
      await devices(sandbox, "add", container, `${source}:${path}`),
      `runts: ${path} exists in the container and is not the device c 10:229\n`,
    );
  for (const path of ["/link", "/dev/fd/9", "/dev/ptmx"])
    expectRefusal(
      await devices(sandbox, "add", container, `${source}:${path}`),
      `${path} leads through a symbolic link of the container`,
    );
  expectRefusal(await devices(sandbox, "add", container, `${source}:/file/x`), /not a directory/);
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

live("devices add, what is no device, or a word that can't be read: refused by name", async (sandbox) => {
  const container = await running(sandbox);
  const file = sandbox.path("file");
  writeFileSync(file, "");
  execFileSync("mkfifo", [sandbox.path("fifo")]);
  const cases: [string, RegExp][] = [
    [file, /file is not a device node/],
    [sandbox.path("fifo"), /fifo is a FIFO, not a device/],
    [sandbox.directory, /is a directory: name one device/],
    [sandbox.path("missing"), /the host's \S+missing: open: no such file/],
    ["dev/null", /dev\/null: "dev\/null" must be an absolute path/],
    ["/dev/null:x", /"x" must be a path in the container, or some of the letters/],
    ["/dev/null:/x:", /"" must be a path in the container, or some of the letters/],
    ["/dev/null:/x:rr", /"rr" must be/],
    ["/dev/null:/x:/y:r", /must be PATH\[:PATH\]\[:rwm\]/],
  ];
  for (const [word, words] of cases) expectRefusal(await devices(sandbox, "add", container, word), words);
  expect(await traces(sandbox, container, "/x")).toEqual(NOTHING);
});

live("devices add, a read-only place: EROFS, and no rule stays", async (sandbox) => {
  const container = await running(sandbox, (config) => {
    config.root.readonly = true;
    config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
  });
  const before = await list(sandbox, container);
  expectRefusal(
    await devices(sandbox, "add", container, `${hostNode(sandbox)}:/added`),
    /make device \/added: mknodat: read-only file system/,
  );
  expect(await list(sandbox, container)).toEqual(before);
  await output(container, "mknod /tmp/own c 10 229");
  expect(await access(container, "/tmp/own")).toBe("");
});

live(
  "devices add, nodev at the container's path, or at the host's in a user namespace: EACCES",
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nodev"] });
    });
    expectRefusal(
      await devices(sandbox, "add", container, `${hostNode(sandbox)}:/tmp/sub/added`),
      "/tmp/sub/added is on a mount of the container with the option nodev",
    );
    expect(await traces(sandbox, container, "/tmp/sub")).toEqual(NOTHING);
    const mapped = mappedShell(sandbox, "exec sleep 1000");
    await mapped.started();
    const folder = sandbox.path("nodev");
    mkdirSync(folder);
    execFileSync("mount", ["-t", "tmpfs", "-o", "nodev", "tmpfs", folder]);
    sandbox.atEnd(() => void execFileSync("umount", [folder]));
    const source = hostNode(sandbox, "nodev/node");
    expectRefusal(
      await devices(sandbox, "add", mapped, `${source}:/dev/added`),
      `${source} is on a mount of the host with the option nodev`,
    );
    expect(await added(sandbox, mapped)).toEqual([]);
  },
);

live("devices remove, what add has not added: refused by name", async (sandbox) => {
  const container = await running(sandbox, (config) => {
    config.linux.devices = [{ ...NUMBERS, path: "/dev/configured" }];
  });
  for (const path of ["/dev/null", "/dev/configured"])
    expectRefusal(
      await devices(sandbox, "remove", container, path),
      `${path} is a device that container ${container.id} was created with: only added devices can be removed`,
    );
  expectRefusal(
    await devices(sandbox, "remove", container, "/dev/x"),
    `/dev/x is not a device that was added to container ${container.id}`,
  );
});

live(
  "devices add, a container that is created, paused, stopped or unknown: allowed only when created",
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.process.args = ["sleep", "1000"];
      config.root.readonly = false;
      const names = ["CAP_MKNOD"];
      config.process.capabilities = { bounding: names, effective: names, permitted: names };
    });
    const word = `${hostNode(sandbox)}:/dev/added`;
    succeed("create", await container.create());
    succeed("add", await devices(sandbox, "add", container, word));
    succeed("start", await container.start());
    expect(await access(container, "/dev/added")).toBe("rw");
    succeed("pause", await sandbox.invoke(["pause", container.id]));
    for (const action of ["add", "remove"])
      expectRefusal(
        await devices(sandbox, action, container, `${word}:r`),
        /cannot change a paused container/,
      );
    succeed("resume", await sandbox.invoke(["resume", container.id]));
    expect(await ruleOf(container)).toBe("rw");
    await container.kill("KILL");
    await container.until("stopped");
    expectRefusal(await devices(sandbox, "add", container, word), /container not running/);
    expectRefusal(await devices(sandbox, "list", container), /container not running/);
    expectRefusal(await sandbox.invoke(["devices", "list", "nobody"]), /does not exist/);
    expect(await container.delete()).toMatchObject({ code: 0, stderr: "" });
  },
);

live("devices add, a container without a mount namespace: refused", async (sandbox) => {
  const container = await running(sandbox, (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "mount");
    config.mounts = [];
    config.linux.maskedPaths = [];
    config.linux.readonlyPaths = [];
  });
  expectRefusal(await devices(sandbox, "add", container, hostNode(sandbox)), /no mount namespace of its own/);
});

live("devices add --rootless=true, and without a cgroup: errors that name it", async (sandbox) => {
  const container = await running(sandbox);
  const word = `${hostNode(sandbox)}:/dev/added`;
  const rootless = await sandbox.invoke(["--rootless=true", "devices", "add", container.id, word]);
  expectRefusal(rootless, /a rootless caller can't change device rules/);
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

live(
  "devices add, another program has replaced the device program: refused, and that one stays",
  async (sandbox) => {
    const container = await running(sandbox);
    const file = stateFile(sandbox, container);
    // As if the rules on the cgroup were those of somebody else: the record says that there is one more.
    const other = { path: "/dev/x", source: "/dev/x", type: "b", major: 9, minor: 9, access: "r" };
    const record = parseObject(readFileSync(file, "utf8"));
    writeFileSync(
      file,
      JSON.stringify({ ...record, devices: [{ ...other, made: "nothing", directories: [] }] }),
    );
    expectRefusal(
      await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`),
      /another program has replaced the device rules of cgroup \S+, or another version of runts has made them: .*update with a list of devices/,
    );
    writeFileSync(file, JSON.stringify(record));
    expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
  },
);

live("devices with an unknown action, or without a device: usage error", async (sandbox) => {
  const container = await running(sandbox);
  expectRefusal(await sandbox.invoke(["devices", "change", container.id]), /must be add, remove or list/);
  expectRefusal(await sandbox.invoke(["devices", "add", container.id]), /devices add needs a device/);
  expectRefusal(await sandbox.invoke(["devices", "list", container.id, "/dev/x"]), /takes no device/);
});
