import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";

const CLAUSE = "config-linux.md, Allowed Device list";
const DISK = { type: "b", major: 1, minor: 0 };
const DENY_ALL = { allow: false, access: "rwm" };
const OPEN = "dd if=/dev/disk of=/dev/null count=1 2>&1";

function withDisk(config: Config): void {
  config.linux.devices = [{ path: "/dev/disk", ...DISK }];
}

describeGuest("devices", () => {
  guestSpec("create with devices, all denied: a disk can't be opened", CLAUSE, async (sandbox) => {
    const container = sandbox.limited(OPEN, { devices: [DENY_ALL] }, withDisk);
    expect((await container.run()).stdout).toMatch(/Operation not permitted/);
  });

  guestSpec(
    "create with devices, a disk allowed for reading: read works, write fails",
    CLAUSE,
    async (sandbox) => {
      const devices = [DENY_ALL, { allow: true, ...DISK, access: "r" }];
      const script = `${OPEN}; dd if=/dev/zero of=/dev/disk count=1 2>&1`;
      const { stdout } = await sandbox.limited(script, { devices }, withDisk).run();
      expect(stdout.match(/records out|Operation not permitted/g)).toEqual([
        "records out",
        "Operation not permitted",
      ]);
    },
  );
});
