import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";

const CLAUSE = "config-linux.md, Block IO";
const DISK = { major: 1, minor: 0 };
const MIB = 1 << 20;
const ALLOW_DISK = { allow: true, type: "b", ...DISK, access: "rw" };

function withDisk(config: Config): void {
  config.linux.devices = [{ path: "/dev/disk", type: "b", ...DISK }];
}

/** Times a command by the guest's clock, which does not depend on the host's load. */
function timed(command: string): string {
  const now = "cut -d ' ' -f 1 /proc/uptime";
  return `begun=$(${now}); ${command} 2>/dev/null || echo failed; echo "$begun $(${now})"`;
}

function seconds(text: string): number {
  const [begun = 0, ended = 0] = text.split(" ").map(Number);
  return ended - begun;
}

describeGuest("io", () => {
  for (const [name, rate, command] of [
    ["throttleWriteBpsDevice", MIB, "dd if=/dev/zero of=/dev/disk bs=256k count=24 oflag=direct"],
    ["throttleReadBpsDevice", MIB, "dd if=/dev/disk of=/dev/null bs=256k count=24 iflag=direct"],
    ["throttleWriteIOPSDevice", 20, "dd if=/dev/zero of=/dev/disk bs=4k count=120 oflag=direct"],
    ["throttleReadIOPSDevice", 20, "dd if=/dev/disk of=/dev/null bs=4k count=120 iflag=direct"],
  ] as const) {
    guestSpec(`create with blockIO.${name}: the rate is kept within 20%`, CLAUSE, async (sandbox) => {
      const resources = { blockIO: { [name]: [{ ...DISK, rate }] }, devices: [ALLOW_DISK] };
      const took = seconds(await sandbox.limited(timed(command), resources, withDisk).output());
      expect(took).toBeGreaterThan(4.8);
      expect(took).toBeLessThan(7.2);
    });
  }

  guestSpec("create with all four throttles of blockIO: io.max is set", CLAUSE, async (sandbox) => {
    const rate = (value: number) => [{ ...DISK, rate: value }];
    const blockIO = {
      throttleReadBpsDevice: rate(1000),
      throttleWriteBpsDevice: rate(2000),
      throttleReadIOPSDevice: rate(30),
      throttleWriteIOPSDevice: rate(40),
    };
    const container = sandbox.limited("sleep 999", { blockIO });
    await container.created();
    expect(await container.files("io.max")).toBe("1:0 rbps=1000 wbps=2000 riops=30 wiops=40");
  });

  guestSpec(
    "update with throttleWriteBpsDevice: io.max is changed",
    "practice of crun",
    async (sandbox) => {
      const container = sandbox.limited("sleep 999", {
        blockIO: { throttleReadBpsDevice: [{ ...DISK, rate: 1000 }] },
      });
      await container.started();
      const result = await container.update({
        blockIO: { throttleWriteBpsDevice: [{ ...DISK, rate: 2000 }] },
      });
      expect(result.stderr).toBe("");
      expect(await container.files("io.max")).toBe("1:0 rbps=1000 wbps=2000 riops=max wiops=max");
    },
    { runc: "update ignores the throttles of blockIO" },
  );

  guestSpec(
    "create with blockIO, unknown device: error that names the property",
    "runtime.md, Create: MUST error if a property cannot be applied",
    async (sandbox) => {
      // A major number without a driver: ramdisks and loop devices are created on access.
      const blockIO = { throttleReadBpsDevice: [{ major: 250, minor: 99, rate: 1000 }] };
      const result = await sandbox.limited("true", { blockIO }).create();
      sandbox.expectRefusal(result, /io\.max/, /throttleReadBpsDevice\/0: .*no such block device/);
    },
    { crun: "leaves the cgroup behind when a limit is refused" },
  );
});
