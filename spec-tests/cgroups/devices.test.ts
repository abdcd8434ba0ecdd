import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config-linux.md, Allowed Device list";
const DENY_ALL = { allow: false, access: "rwm" };

/** Makes and opens a node that no default rule allows: /dev/fuse's numbers. Without that driver the open fails too, but with ENXIO. */
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
  "devices deny all: a node can be made, but not opened",
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
