import { expect } from "vitest";
import type { GuestContainer } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { byCase } from "../harness/peers.ts";

const MIB = 1 << 20;
const CLAUSE = "config-linux.md, Memory";
const UPDATE = "practice of runc and crun";
const SMALL = "promise: nothing but the container's own program is charged to it";
/** Allocates 64 MiB at once, which the guest has. */
const EXCEED = "dd if=/dev/zero of=/dev/null bs=64M count=1";
const FILL = "dd if=/dev/zero of=/tmp/file bs=1M count=24; echo filled; sleep 999";
const FILES = ["memory.max", "memory.swap.max", "memory.low"];

async function limits(container: GuestContainer): Promise<string> {
  return (await container.files(...FILES)).split("\n").join(" ");
}

describeGuest("memory", () => {
  guestSpec(
    "create with memory.limit, a process exceeds it: killed, counted in memory.events",
    CLAUSE,
    async (sandbox) => {
      const memory = { limit: 16 * MIB, swap: 16 * MIB };
      const container = sandbox.limited(`${EXCEED}; echo code $?; sleep 999`, { memory });
      await container.started();
      expect(await container.printed("code")).toBe("code 137");
      expect(await container.count("memory.events", "oom_kill")).toBe(1);
      expect(await container.status()).toBe("running");
    },
  );

  guestSpec("run with memory.limit, init exceeds it: exit code 137", CLAUSE, async (sandbox) => {
    const memory = { limit: 16 * MIB, swap: 16 * MIB };
    expect((await sandbox.limited(`exec ${EXCEED}`, { memory }).run()).code).toBe(137);
  });

  guestSpec(
    "events, a process exceeds memory.limit: an event of type oom, and usage in the stats",
    "runc's events: types/events.go",
    async (sandbox) => {
      const memory = { limit: 16 * MIB, swap: 16 * MIB };
      const wait = "until [ -e /tmp/go ]; do sleep 0.2; done";
      const container = sandbox.limited(`${wait}; ${EXCEED}; echo code $?; sleep 999`, { memory });
      await container.started();
      const file = `/run/outputs/${container.id}.events`;
      const events = sandbox.command(["events", "--interval", "1s", container.id], `> ${file} 2>&1 &`);
      // The first line of stats shows that the command watches.
      await sandbox.guest.output(`${events}\nuntil [ -s ${file} ]; do sleep 0.2; done`);
      await container.exec("touch", "/tmp/go");
      await container.printed("code 137");
      const oom = await sandbox.guest.output(`until grep '"oom"' ${file}; do sleep 0.2; done`);
      expect(JSON.parse(oom.split("\n")[0] ?? "")).toMatchObject({ type: "oom", id: container.id });
      const { data } = JSON.parse((await container.command("events", "--stats")).stdout);
      expect(data.memory.usage).toMatchObject({ limit: 16 * MIB });
      expect(data.memory.usage.usage).toBeGreaterThan(0);
      expect(data.pids).toMatchObject({ current: expect.any(Number) });
      expect(data.cpu.usage.total).toBeGreaterThan(0);
    },
    { crun: "there is no such command" },
  );

  guestSpec(
    "events --psi, memory.high is reached: a line of type psi with the pressure on memory",
    "Linux, Documentation/accounting/psi.rst",
    async (sandbox) => {
      const wait = "until [ -e /tmp/go ]; do sleep 0.2; done";
      const unified = { "memory.high": String(8 * MIB) };
      // A tmpfs can't be reclaimed without swap, so that the kernel throttles the writer.
      const container = sandbox.limited(`${wait}; ${FILL}`, { unified });
      await container.started();
      const file = `/run/outputs/${container.id}.events`;
      const trigger = "some:memory:50ms/1s";
      const events = sandbox.command(
        ["events", "--interval", "1s", "--psi", trigger, container.id],
        `> ${file} 2>&1 &`,
      );
      await sandbox.guest.output(`${events}\nuntil [ -s ${file} ]; do sleep 0.2; done`);
      await container.exec("touch", "/tmp/go");
      const alert = await sandbox.guest.output(`until grep '"type":"psi"' ${file}; do sleep 0.2; done`);
      const { type, id, data } = JSON.parse(alert.split("\n")[0] ?? "");
      expect({ type, id, trigger: data.trigger }).toEqual({ type: "psi", id: container.id, trigger });
      expect(data.psi.some.total).toBeGreaterThan(25_000);
    },
    { crun: "there is no such command", runc: "has no --psi" },
  );

  const deviations = byCase({
    crun: "0 is a limit of memory, but no limit of processes",
    cases: ['{"limit":0,"swap":0,"reservation":0}'],
  });

  for (const [memory, expected] of [
    [{ limit: 32 * MIB }, `${32 * MIB} max 0`],
    [{ limit: 32 * MIB, swap: 48 * MIB }, `${32 * MIB} ${16 * MIB} 0`],
    [{ limit: 32 * MIB, swap: 32 * MIB }, `${32 * MIB} 0 0`],
    [{ limit: 32 * MIB, swap: -1 }, `${32 * MIB} max 0`],
    [{ limit: -1 }, "max max 0"],
    [{ limit: 0, swap: 0, reservation: 0 }, "max max 0"],
    [{ reservation: 24 * MIB }, `max max ${24 * MIB}`],
    [{ limit: 32 * MIB + 1000, reservation: MIB + 4095 }, `${32 * MIB} max ${MIB}`],
  ] as const) {
    guestSpec(
      `create with memory ${JSON.stringify(memory)}: memory.max, memory.swap.max and memory.low are set`,
      CLAUSE,
      async (sandbox) => {
        const container = sandbox.limited("sleep 999", { memory });
        await container.created();
        expect(await limits(container)).toBe(expected);
      },
      deviations(JSON.stringify(memory)),
    );
  }

  guestSpec("create with memory.limit and more swap: the excess is swapped out", CLAUSE, async (sandbox) => {
    await sandbox.guest.output("mkswap /dev/ram1 >/dev/null && swapon /dev/ram1");
    try {
      const memory = { limit: 16 * MIB, swap: 64 * MIB };
      const container = sandbox.limited("dd if=/dev/zero of=/tmp/file bs=1M count=32; echo $?; sleep 999", {
        memory,
      });
      await container.started();
      expect(await container.printed("^[0-9]")).toBe("0");
      expect(Number(await container.files("memory.swap.current"))).toBeGreaterThan(8 * MIB);
      await container.command("delete", "--force");
    } finally {
      await sandbox.guest.output("swapoff /dev/ram1");
    }
  });

  guestSpec(
    "update --memory with a lower limit: an allocation that fitted fails",
    UPDATE,
    async (sandbox) => {
      const container = sandbox.limited("sleep 999", { memory: { limit: 64 * MIB, swap: 64 * MIB } });
      await container.started();
      const fill = [
        "sh",
        "-c",
        "dd if=/dev/zero of=/tmp/file bs=1M count=24; code=$?; rm /tmp/file; exit $code",
      ];
      expect((await container.exec(...fill)).code).toBe(0);
      await container.updated("--memory", String(16 * MIB), "--memory-swap", String(16 * MIB));
      expect(await limits(container)).toBe(`${16 * MIB} 0 0`);
      expect((await container.exec(...fill)).code).not.toBe(0);
      await container.updated("--memory", String(32 * MIB), "--memory-swap", String(32 * MIB));
      expect((await container.exec(...fill)).code).toBe(0);
    },
  );

  guestSpec(
    "update --memory-swap, --memory-reservation, -1: converted to cgroup v2",
    UPDATE,
    async (sandbox) => {
      const container = sandbox.limited("sleep 999", { memory: { limit: 32 * MIB } });
      await container.started();
      await container.updated("--memory=33554432", "--memory-swap=50331648", "--memory-reservation=8388608");
      expect(await limits(container)).toBe(`${32 * MIB} ${16 * MIB} ${8 * MIB}`);
      await container.updated("--memory=-1");
      expect(await limits(container)).toBe(`max max ${8 * MIB}`);
    },
    { crun: "an update to unlimited memory keeps the limit of swap" },
  );

  guestSpec(
    "update with checkBeforeUpdate and memory.limit below the usage: refused",
    `${CLAUSE}, checkBeforeUpdate`,
    async (sandbox) => {
      const container = sandbox.limited(FILL, { memory: { limit: 64 * MIB, swap: 64 * MIB } });
      await container.started();
      await container.printed("filled");
      const memory = { limit: 8 * MIB, swap: 8 * MIB, checkBeforeUpdate: true };
      const result = await container.update({ memory });
      sandbox.expectRefusal(result, /./, /limit: rejecting memory limit 8388608 <= usage \d+/);
      expect(await limits(container)).toBe(`${64 * MIB} 0 0`);
      expect(await container.status()).toBe("running");
    },
    { runc: "1.1 has no checkBeforeUpdate" },
  );

  guestSpec(
    "update --memory below the usage, config with checkBeforeUpdate: refused",
    `${CLAUSE}, checkBeforeUpdate`,
    async (sandbox) => {
      const memory = { limit: 64 * MIB, swap: 64 * MIB, checkBeforeUpdate: true };
      const container = sandbox.limited(FILL, { memory });
      await container.started();
      await container.printed("filled");
      const result = await container.command("update", "--memory=8388608", "--memory-swap=8388608");
      sandbox.expectRefusal(result, /./, /--memory: rejecting memory limit 8388608 <= usage \d+/);
      expect(await limits(container)).toBe(`${64 * MIB} 0 0`);
    },
    { crun: "ignores checkBeforeUpdate of the config", runc: "1.1 has no checkBeforeUpdate" },
  );

  guestSpec(
    "run with memory.limit 1 MiB and pids.limit 1: a static program works",
    SMALL,
    async (sandbox) => {
      const resources = { memory: { limit: MIB, swap: MIB }, pids: { limit: 1 } };
      const container = sandbox.limited("", resources, (config) => {
        config.process.args = ["busybox", "echo", "ran"];
      });
      expect(await container.output()).toBe("ran");
    },
    { runc: "its own init needs more memory" },
  );

  guestSpec(
    "run with memory.limit too small for any program: error that says so, or exit code 137",
    "promise: the error says that init was killed for lack of memory",
    async (sandbox) => {
      const result = await sandbox.limited("true", { memory: { limit: 65_536, swap: 65_536 } }).run();
      expect(`${result.code} ${result.stderr}`).toMatch(/^137 |OOM|memory limit/i);
    },
  );
});
