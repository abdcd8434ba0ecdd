import { execFileSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import { expect } from "vitest";
import { succeed } from "../harness/container.ts";
import {
  access,
  added,
  devices,
  hostNode,
  live,
  NOTHING,
  output,
  ruleOf,
  running,
  traces,
} from "../harness/helpers/added-devices.ts";
import { mapNoRoot, mappedShell } from "../harness/host/user-namespace.ts";
import { expectRefusal } from "../harness/refusal.ts";

/** A container that runs gets a device by `devices add`, and loses it by `devices remove`. */

live("devices add: a running process can open the device; after devices remove it can't", async (sandbox) => {
  const container = await running(sandbox);
  const source = hostNode(sandbox, "node", "c 10 229", 0o640);
  execFileSync("chown", ["7:8", source]);
  expect(await ruleOf(container)).toBe("");
  expect(
    succeed("devices add", await devices(sandbox, "add", container, `${source}:/dev/added`)).stdout,
  ).toBe("");
  expect(await output(container, "stat -c '%F %t:%T %a %u:%g' /dev/added")).toBe(
    "character special file a:e5 640 7:8",
  );
  expect(await access(container, "/dev/added")).toBe("rw");
  succeed("devices remove", await devices(sandbox, "remove", container, "/dev/added"));
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

live(
  "devices add, one path: the device has the host's path in the container, with directories as needed",
  async (sandbox) => {
    const container = await running(sandbox);
    const source = hostNode(sandbox);
    succeed("devices add", await devices(sandbox, "add", container, source));
    expect(await access(container, source)).toBe("rw");
    succeed("devices remove", await devices(sandbox, "remove", container, source));
    expect(await output(container, `ls ${sandbox.temporary}`)).toMatch(/No such file/);
  },
);

for (const [word, expected] of [
  [":r", "r"],
  [":w", "w"],
  [":/dev/added:rw", "rw"],
  [":/dev/added:mr", "r"],
] as const) {
  live(`devices add PATH${word}: the container can do that and no more`, async (sandbox) => {
    const container = await running(sandbox);
    const source = hostNode(sandbox);
    succeed("devices add", await devices(sandbox, "add", container, `${source}${word}`));
    expect(await ruleOf(container)).toBe(expected);
  });
}

live("devices add, a block device by a symbolic link: the node of its target", async (sandbox) => {
  const container = await running(sandbox);
  hostNode(sandbox, "disk", "b 7 129");
  symlinkSync("disk", sandbox.path("link"));
  succeed("devices add", await devices(sandbox, "add", container, `${sandbox.path("link")}:/disk`));
  expect(await output(container, "stat -c '%F %t:%T' /disk")).toBe("block special file 7:81");
  expect(await output(container, "dd if=/disk bs=1 count=0")).not.toMatch(/not permitted/);
});

live("devices add of an added device: its access changes, and one remove removes it", async (sandbox) => {
  const container = await running(sandbox);
  const source = hostNode(sandbox);
  for (const letters of ["rw", "r"]) {
    succeed("devices add", await devices(sandbox, "add", container, `${source}:/dev/added:${letters}`));
    expect(await ruleOf(container)).toBe(letters);
  }
  await output(container, "rm /dev/added");
  succeed("devices add", await devices(sandbox, "add", container, `${source}:/dev/added`));
  expect(await access(container, "/dev/added")).toBe("rw");
  expect(await added(sandbox, container)).toHaveLength(1);
  succeed("devices remove", await devices(sandbox, "remove", container, "/dev/added"));
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

live(
  "devices add, the container has the device already: it may use its node, which stays after remove",
  async (sandbox) => {
    const container = await running(sandbox);
    await output(container, "mknod /dev/own c 10 229");
    const word = `${hostNode(sandbox)}:/dev/own`;
    succeed("devices add", await devices(sandbox, "add", container, word));
    expect(await access(container, "/dev/own")).toBe("rw");
    succeed("devices remove", await devices(sandbox, "remove", container, "/dev/own"));
    expect(await traces(sandbox, container, "/dev/own")).toEqual({ ...NOTHING, node: true });
  },
);

live("devices add, two paths of one device: each remove takes one", async (sandbox) => {
  const container = await running(sandbox);
  const source = hostNode(sandbox);
  succeed("add", await devices(sandbox, "add", container, `${source}:/dev/a:r`));
  succeed("add", await devices(sandbox, "add", container, `${source}:/dev/b:w`));
  expect(await ruleOf(container)).toBe("rw");
  succeed("remove", await devices(sandbox, "remove", container, "/dev/b"));
  expect(await ruleOf(container)).toBe("r");
  succeed("remove", await devices(sandbox, "remove", container, `${source}:/dev/a`));
  expect(await ruleOf(container)).toBe("");
});

live("devices add, a container whose rules allow everything: they still do", async (sandbox) => {
  const container = await running(sandbox, (config) => {
    config.linux.resources = { devices: [{ allow: true, access: "rwm" }] };
  });
  succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added:r`));
  expect(await access(container, "/dev/added")).toBe("rw");
  succeed("remove", await devices(sandbox, "remove", container, "/dev/added"));
  expect(await ruleOf(container)).toBe("rw");
});

live(
  "devices add in a user namespace: a read-only mount of the host's node, whose owner stays",
  async (sandbox) => {
    const container = mappedShell(sandbox, "exec sleep 1000", (config) => {
      config.root.readonly = false;
    });
    await container.started();
    const word = `${hostNode(sandbox)}:/dev/sub/added`;
    succeed("add", await devices(sandbox, "add", container, word));
    expect(await output(container, "stat -c '%t:%T %a %u' /dev/sub/added")).toBe("a:e5 666 65534");
    expect(await access(container, "/dev/sub/added")).toBe("rw");
    expect(await output(container, "chmod 600 /dev/sub/added")).toMatch(/Read-only|not permitted/);
    expect(await output(container, "cat /proc/self/mountinfo")).toMatch(
      / \/dev\/sub\/added ro,nosuid,noexec\S* (?!shared)/,
    );
    succeed("remove", await devices(sandbox, "remove", container, "/dev/sub/added"));
    expect(await output(container, "ls /dev/sub; cat /proc/self/mountinfo")).toMatch(/No such file/);
    expect(await output(container, "cat /proc/self/mountinfo")).not.toContain("added");
    expectRefusal(
      await devices(sandbox, "add", container, `${hostNode(sandbox, "other", "c 1 11")}:/dev/null`),
      "/dev/null exists in the container and is not the device c 1:11",
    );
  },
);

live("devices add and remove in a user namespace without root: as in one with root", async (sandbox) => {
  const container = await running(sandbox, mapNoRoot);
  succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/sub/added`));
  expect(await access(container, "/dev/sub/added")).toBe("rw");
  succeed("remove", await devices(sandbox, "remove", container, "/dev/sub/added"));
  expect(await output(container, "ls /dev/sub")).toMatch(/No such file/);
});

live(
  "devices remove, the container has put another file at the path: it stays, and the rule is taken away",
  async (sandbox) => {
    const container = await running(sandbox);
    const word = `${hostNode(sandbox)}:/dev/added`;
    for (const [swap, seen] of [
      ["rm /dev/added; echo kept > /dev/added", "kept"],
      ["mv /dev/added /dev/moved; mkdir /dev/elsewhere; ln -s elsewhere /dev/added", ""],
      ["rm /dev/added; mknod /dev/added p", ""],
    ] as const) {
      succeed("devices add", await devices(sandbox, "add", container, word));
      await output(container, swap);
      succeed("devices remove", await devices(sandbox, "remove", container, "/dev/added"));
      expect(await ruleOf(container)).toBe("");
      expect(await added(sandbox, container)).toEqual([]);
      if (seen !== "") expect(await output(container, "cat /dev/added")).toBe(seen);
      expect(await output(container, "ls -d /dev/added")).toBe("/dev/added");
      await output(container, "rm -rf /dev/added /dev/elsewhere");
    }
  },
);

live(
  "devices remove, the container has mounted something on the node: a warning, and the rule is taken away",
  async (sandbox) => {
    const container = await running(sandbox);
    const word = `${hostNode(sandbox)}:/dev/added`;
    succeed("devices add", await devices(sandbox, "add", container, word));
    await output(container, "mount -o bind /dev/added /dev/added");
    const { code, stderr } = await devices(sandbox, "remove", container, "/dev/added");
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /level=warning msg="\/dev\/added stays in container \S+, without the rule .*: something is mounted on it"/,
    );
    expect(await access(container, "/dev/added")).toBe("");
  },
);
