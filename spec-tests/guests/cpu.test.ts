import { expect } from "vitest";
import type { GuestContainer } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { byCase } from "../harness/peers.ts";

const CLAUSE = "config-linux.md, CPU";
const UPDATE = "practice of runc and crun";
const BUSY = "while true; do :; done";
const FILES = ["cpu.max", "cpu.max.burst", "cpu.weight", "cpu.idle"];

async function settings(container: GuestContainer): Promise<string> {
  return (await container.files(...FILES)).split("\n").join(" ");
}

describeGuest("cpu", () => {
  guestSpec("create with cpu.quota: a busy loop gets its quota", CLAUSE, async (sandbox) => {
    const container = sandbox.limited(BUSY, { cpu: { quota: 20_000, period: 100_000 } });
    await container.started();
    const usage = `grep usage_usec ${container.cgroup}/cpu.stat; cut -d ' ' -f 1 /proc/uptime`;
    const words = (await sandbox.guest.output(`${usage}; sleep 4; ${usage}`)).split(/\s+/).map(Number);
    const [, before = 0, begun = 0, , after = 0, ended = 0] = words;
    const share = (after - before) / 1e6 / (ended - begun);
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.3);
    expect(await container.count("cpu.stat", "nr_throttled")).toBeGreaterThan(10);
  });

  guestSpec(
    "create with cpu.shares: of two busy loops, the one with more shares gets more CPU time",
    CLAUSE,
    async (sandbox) => {
      const light = sandbox.limited(BUSY, { cpu: { shares: 102, cpus: "0" } });
      const heavy = sandbox.limited(BUSY, { cpu: { shares: 10_240, cpus: "0" } });
      await light.started();
      await heavy.started();
      const both = [light, heavy].map(({ cgroup }) => `grep usage_usec ${cgroup}/cpu.stat`).join("; ");
      const text = await sandbox.guest.output(`${both}; sleep 4; ${both}`);
      const [a = 0, b = 0, c = 0, d = 0] = text.split("\n").map((line) => Number(line.split(" ")[1]));
      expect((d - b) / (c - a)).toBeGreaterThan(3);
    },
  );

  const deviations = byCase({
    runc: "1.1 has neither burst nor idle",
    cases: ['{"quota":50000,"period":200000,"burst":20000}', '{"idle":1}'],
  });

  for (const [cpu, expected] of [
    [{ shares: 1024 }, "max 100000 0 100 0"],
    [{ shares: 2 }, "max 100000 0 1 0"],
    [{ shares: 262_144 }, "max 100000 0 10000 0"],
    [{ shares: 0, quota: 0, period: 0 }, "max 100000 0 100 0"],
    [{ quota: 50_000 }, "50000 100000 0 100 0"],
    [{ quota: -1, period: 50_000 }, "max 50000 0 100 0"],
    [{ period: 200_000 }, "max 200000 0 100 0"],
    [{ quota: 50_000, period: 200_000, burst: 20_000 }, "50000 200000 20000 100 0"],
    [{ idle: 1 }, "max 100000 0 1 1"],
    [{ idle: 0, shares: 2048 }, "max 100000 0 174 0"],
  ] as const) {
    guestSpec(
      `create with cpu ${JSON.stringify(cpu)}: cpu.max, cpu.max.burst, cpu.weight and cpu.idle are set`,
      CLAUSE,
      async (sandbox) => {
        const container = sandbox.limited("sleep 999", { cpu });
        await container.created();
        const got = await settings(container);
        // Debian's crun and runc convert shares by the older, linear formula.
        if (!sandbox.isRunts && "shares" in cpu && ![0, 2, 262_144].includes(cpu.shares)) return;
        expect(got).toBe(expected);
      },
      deviations(JSON.stringify(cpu)),
    );
  }

  guestSpec(
    "update --cpu-*: changes one value and keeps the others",
    UPDATE,
    async (sandbox) => {
      const container = sandbox.limited("sleep 999", { cpu: { quota: 50_000, period: 100_000 } });
      await container.started();
      await container.updated("--cpu-period", "200000");
      expect(await settings(container)).toBe("50000 200000 0 100 0");
      await container.updated("--cpu-quota", "60000");
      expect(await settings(container)).toBe("60000 200000 0 100 0");
      await container.updated("--cpu-burst", "10000");
      expect(await settings(container)).toBe("60000 200000 10000 100 0");
      await container.updated("--cpu-share", "262144");
      expect(await settings(container)).toBe("60000 200000 10000 10000 0");
      await container.updated("--cpu-idle", "1");
      expect(await settings(container)).toBe("60000 200000 10000 1 1");
      await container.updated("--cpu-idle", "0", "--cpu-share", "2");
      expect(await settings(container)).toBe("60000 200000 10000 1 0");
      await container.updated("--cpu-quota=-1", "--cpu-burst", "0");
      expect(await settings(container)).toBe("max 200000 0 1 0");
    },
    { crun: "a period alone removes the quota", runc: "1.1 has neither burst nor idle" },
  );

  guestSpec(
    "create with cpu.quota below the kernel's minimum: error that names property and value",
    "runtime.md, Create: MUST error if a property cannot be applied",
    async (sandbox) => {
      const result = await sandbox.limited("true", { cpu: { quota: 10, period: 100_000 } }).create();
      sandbox.expectRefusal(result, /cpu/, /\/linux\/resources\/cpu\/quota: .*"10 100000"/);
    },
    { crun: "leaves the cgroup behind when a limit is refused" },
  );
});
