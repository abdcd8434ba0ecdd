import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { succeed } from "../harness/container.ts";
import {
  access,
  CLAUSE,
  devices,
  hostNode,
  list,
  live,
  NOTHING,
  NUMBERS,
  output,
  running,
  traces,
} from "../harness/helpers/added-devices.ts";
import { criuSpec, imagesIn } from "../harness/helpers/checkpoint.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";
import { stateFile } from "../harness/state-record.ts";

/** What other commands do with added devices, what `devices list` shows of them, and how the record keeps them. */

live(
  "devices list: devices of every container, of the config, and added ones, with access",
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.linux.devices = [{ type: "b", path: "/dev/disk", major: 7, minor: 1 }];
    });
    const source = hostNode(sandbox);
    succeed("add", await devices(sandbox, "add", container, `${source}:/dev/added:r`));
    const found = await list(sandbox, container);
    expect(found).toContainEqual({
      path: "/dev/null",
      type: "c",
      major: 1,
      minor: 3,
      access: "rwm",
      origin: "default",
    });
    expect(found).toContainEqual({
      path: "/dev/disk",
      type: "b",
      major: 7,
      minor: 1,
      access: "m",
      origin: "config",
    });
    expect(found.at(-1)).toEqual({ ...NUMBERS, path: "/dev/added", access: "rm", origin: "added", source });
    const { stdout } = await sandbox.invoke(["devices", "list", container.id]);
    expect(stdout).toMatch(/^DEVICE +TYPE +NUMBER +ACCESS +ORIGIN +SOURCE\n/);
    expect(stdout).toMatch(/^\/dev\/disk +b +7:1 +m +config$/m);
    expect(stdout).toMatch(/^\/dev\/added +c +10:229 +rm +added +\/\S+node$/m);
  },
);

live("doctor, added devices: no deviation", async (sandbox) => {
  const container = await running(sandbox);
  succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`));
  const good = await sandbox.invoke(["doctor", container.id]);
  expect(good).toMatchObject({ code: 0, stderr: "" });
  expect(good.stdout).toMatch(/^ {2}ok +\/dev\/added +is 10:229, added by devices add$/m);
  await output(container, "rm /dev/added");
  expect((await sandbox.invoke(["doctor", container.id])).stdout).toMatch(/^ {2}BAD +\/dev\/added +is not/m);
});

live("update, with a list of devices and without: added devices stay", async (sandbox) => {
  const container = await running(sandbox);
  succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`));
  const update = (resources: unknown): Promise<Result> => {
    const file = sandbox.path("resources.json");
    writeFileSync(file, JSON.stringify(resources));
    return sandbox.invoke(["update", "--resources", file, container.id]);
  };
  succeed("update", await update({}));
  expect(await access(container, "/dev/added")).toBe("rw");
  succeed("update", await update({ devices: [{ allow: false, access: "rwm" }] }));
  expect(await access(container, "/dev/added")).toBe("rw");
  succeed("remove", await devices(sandbox, "remove", container, "/dev/added"));
  expect(await traces(sandbox, container, "/dev/added")).toEqual(NOTHING);
});

if (IS_RUNTS) {
  spec(
    "devices add and remove: the record has format 2 as long as there is an added device",
    "promise: a downgrade harms no container",
    async (sandbox) => {
      const container = await running(sandbox);
      const format = () => parseObject(readFileSync(stateFile(sandbox, container), "utf8")).formatVersion;
      expect(format()).toBe(1);
      succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`));
      expect(format()).toBe(2);
      succeed("remove", await devices(sandbox, "remove", container, "/dev/added"));
      expect(format()).toBe(1);
    },
  );

  criuSpec("checkpoint, a container with an added device: refused by name", CLAUSE, async (sandbox) => {
    const container = await running(sandbox);
    succeed("add", await devices(sandbox, "add", container, `${hostNode(sandbox)}:/dev/added`));
    const images = imagesIn(sandbox);
    expectRefusal(
      await sandbox.invoke(["checkpoint", ...images.flags, container.id]),
      /\/dev\/added was added to container \S+ while it ran, .*remove it first/,
    );
    expect((await container.state()).status).toBe("running");
  });
}
