import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const EMPTY_ACCESS = "a device rule without access allows nothing, and denies nothing";

const CLAUSE = "config-linux.md, Allowed Device list";
const DENY_ALL = { allow: false, access: "rwm" };

/** Makes and opens a node that no default rule allows, with /dev/fuse's numbers. Without that driver, an allowed open fails with ENXIO. */
const OPEN_NODE = "mknod /dev/node c 10 229 && (dd if=/dev/node bs=1 count=0 2>&1 || true)";

function rules(...devices: Record<string, unknown>[]): (config: Config) => void {
  return (config) => {
    config.linux.resources = { devices };
    const dev = config.mounts.find(({ destination }) => destination === "/dev");
    if (dev !== undefined) dev.options = ["strictatime", "mode=755"];
    const names = ["CAP_MKNOD"];
    config.process.capabilities = { bounding: names, effective: names, permitted: names };
  };
}

spec(
  "create, devices deny all: a node can be made, but not opened",
  `${CLAUSE}; default rules allow mknod`,
  async (sandbox) => {
    const { stdout } = await sandbox.shell(OPEN_NODE, rules(DENY_ALL)).run();
    expect(stdout).toMatch(/Operation not permitted/);
  },
);

spec("devices deny all: the default devices work", `${CLAUSE}; Default Devices`, async (sandbox) => {
  const script =
    "for name in null zero full random urandom; do dd if=/dev/$name bs=1 count=1 of=/dev/null 2>/dev/null || echo $name; done; echo done";
  expect(await sandbox.shell(script, rules(DENY_ALL)).output()).toBe("done\n");
});

spec("devices deny all, then one allowed: it opens", CLAUSE, async (sandbox) => {
  const allow = { allow: true, type: "c", major: 10, minor: 229, access: "rw" };
  const { stdout } = await sandbox.shell(OPEN_NODE, rules(DENY_ALL, allow)).run();
  expect(stdout).not.toMatch(/Operation not permitted/);
});

spec("devices allow all (privileged): any node opens", CLAUSE, async (sandbox) => {
  const { stdout } = await sandbox.shell(OPEN_NODE, rules({ allow: true, access: "rwm" })).run();
  expect(stdout).not.toMatch(/Operation not permitted/);
});

spec("devices allowed for writing only: reading fails", `${CLAUSE}: access`, async (sandbox) => {
  const allow = { allow: true, type: "c", major: 10, minor: 229, access: "w" };
  const { stdout } = await sandbox.shell(OPEN_NODE, rules(DENY_ALL, allow)).run();
  expect(stdout).toMatch(/Operation not permitted/);
});

for (const [situation, resources] of [
  ["no resources at all", undefined],
  ["empty resources", {}],
] as const) {
  spec(
    `devices, ${situation}: only the default ones open`,
    `${CLAUSE}; Default Devices`,
    async (sandbox) => {
      const container = sandbox.shell(
        `${OPEN_NODE}; dd if=/dev/zero bs=1 count=1 of=/dev/null 2>/dev/null && echo zero`,
        (config) => {
          rules()(config);
          if (resources === undefined) delete config.linux.resources;
          else config.linux.resources = resources;
        },
      );
      const output = await container.output();
      expect(output).toMatch(/Operation not permitted/);
      expect(output).toMatch(/^zero$/m);
    },
    { crun: "without resources it sets no device rules at all" },
  );
}

spec(
  "devices deny all: terminals and /dev/net/tun, which engines rely on, open",
  `${CLAUSE}; practice of runc and crun`,
  async (sandbox) => {
    const open =
      "mknod /dev/own-tun c 10 200; mknod /dev/own-ptmx c 5 2; for name in own-tun own-ptmx ptmx; do dd if=/dev/$name of=/dev/null bs=1 count=0 2>&1 || true; done";
    expect(await sandbox.shell(open, rules(DENY_ALL)).output()).not.toMatch(/Operation not permitted/);
  },
);

for (const [situation, rule, pointer] of [
  ["an empty access allowed", { allow: true, access: "" }, "/linux/resources/devices/1/access"],
  ["no access allowed", { allow: true }, "/linux/resources/devices/1: "],
  ["an empty access denied", { allow: false, access: "" }, "/linux/resources/devices/1/access"],
] as const) {
  spec(
    `create, devices, ${situation}: error, nothing left`,
    `${CLAUSE}; practice of runc`,
    async (sandbox) => {
      const container = sandbox.shell("true", rules(DENY_ALL, { ...rule, type: "c", major: 10, minor: 229 }));
      expectRefusal(await container.create(), inOurWords(pointer));
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: EMPTY_ACCESS },
  );
}

spec(
  "devices, a rule that denies without access: denies all",
  CLAUSE,
  async (sandbox) => {
    const { stdout } = await sandbox
      .shell(OPEN_NODE, rules({ allow: true, access: "rwm" }, { allow: false }))
      .run();
    expect(stdout).toMatch(/Operation not permitted/);
  },
  { crun: EMPTY_ACCESS, runc: "refuses a device rule without access, even one that denies" },
);

spec("devices, letters of access twice and in another order: the same as once", CLAUSE, async (sandbox) => {
  const allow = { allow: true, type: "c", major: 10, minor: 229, access: "wrwr" };
  const { stdout } = await sandbox.shell(OPEN_NODE, rules(DENY_ALL, allow)).run();
  expect(stdout).not.toMatch(/Operation not permitted/);
});
