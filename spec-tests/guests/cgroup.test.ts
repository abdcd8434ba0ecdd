import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { describeGuest, guestSpec } from "../harness/guest-spec.ts";

const PROMISE =
  "promise: the error for a missing controller names it, the cgroup where it is missing and what to change";
const UNIFIED = "config-linux.md, Unified";
const ROOT = "/sys/fs/cgroup";

function below(parent: string): (config: Config) => void {
  return (config) => {
    config.linux.cgroupsPath = `${parent}${config.linux.cgroupsPath ?? ""}`;
  };
}

describeGuest("cgroup", () => {
  guestSpec(
    "create with a limit three cgroups down: controllers are enabled on the way",
    "cgroups(7), Cgroups v2 controllers",
    async (sandbox) => {
      const parent = `/${sandbox.tag}-parent`;
      const container = sandbox.limited(
        "sleep 999",
        { memory: { limit: 33_554_432 } },
        below(`${parent}/middle`),
      );
      await container.created();
      expect(await container.files("memory.max")).toBe("33554432");
      for (const directory of [ROOT, `${ROOT}${parent}`, `${ROOT}${parent}/middle`])
        expect(await sandbox.guest.output(`cat ${directory}/cgroup.subtree_control`)).toContain("memory");
      await container.command("delete", "--force");
      await sandbox.guest.output(`rmdir ${ROOT}${parent}/middle ${ROOT}${parent}`);
    },
  );

  guestSpec(
    "create below a cgroup with processes: error that names controller, cgroup and processes",
    PROMISE,
    async (sandbox) => {
      const parent = `${ROOT}/${sandbox.tag}-parent`;
      const pid = await sandbox.guest.output(
        `mkdir ${parent}; sleep 999 >/dev/null 2>&1 & echo $! > ${parent}/cgroup.procs; echo $!`,
      );
      try {
        const resources = { memory: { limit: 33_554_432 } };
        const container = sandbox.limited("true", resources, below(`/${sandbox.tag}-parent`));
        const result = await container.create();
        sandbox.expectRefusal(
          result,
          /memory/,
          /memory controller .*-parent\/cgroup\.subtree_control.*move them/,
        );
        if (sandbox.isRunts) expect(result.stderr).toContain(`: ${pid} (sleep`);
        // What a refused container needed must not have changed the cgroup of others.
        expect(await sandbox.guest.output(`cat ${parent}/cgroup.type`)).toBe("domain");
      } finally {
        await sandbox.guest.output(
          `kill ${pid}; until rmdir ${parent} 2>/dev/null; do rmdir ${parent}/* 2>/dev/null; sleep 0.1; done`,
        );
      }
    },
  );

  guestSpec("unified: each line of each value is written, last", UNIFIED, async (sandbox) => {
    const unified = {
      "memory.high": "20971520",
      "pids.max": "7",
      "io.max": "98:0 rbps=1000\n98:16 wbps=2000",
      "cpu.max": "30000 60000",
    };
    const container = sandbox.limited("sleep 999", { unified, pids: { limit: 5 }, cpu: { quota: 10_000 } });
    await container.created();
    expect(await container.files("memory.high", "pids.max", "cpu.max")).toBe("20971520\n7\n30000 60000");
    expect((await container.files("io.max")).split("\n").sort()).toEqual([
      "98:0 rbps=1000 wbps=max riops=max wiops=max",
      "98:16 rbps=max wbps=2000 riops=max wiops=max",
    ]);
  });

  for (const [file, value, words] of [
    ["memory.nothing", "1", /memory\.nothing/],
    ["cpuset.cpus", "0", /cpuset/],
    ["pids.max", "many", /pids\.max/],
    ["cgroup.nothing", "1", /cgroup\.nothing/],
  ] as const) {
    guestSpec(`unified with ${file} "${value}": error that names it`, UNIFIED, async (sandbox) => {
      const result = await sandbox.limited("true", { unified: { [file]: value } }).create();
      sandbox.expectRefusal(result, words, new RegExp(`/linux/resources/unified/${file}: `));
    });
  }

  guestSpec("update with unified: the new value holds", "practice of crun", async (sandbox) => {
    const container = sandbox.limited("sleep 999", {});
    await container.started();
    const result = await container.update({ unified: { "memory.high": "20971520" } });
    expect(result.stderr).toBe("");
    expect(await container.files("memory.high")).toBe("20971520");
  });

  guestSpec(
    "create, user namespace: what the memory controller delegates is the container's too",
    "config-linux.md, Cgroup ownership",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        const mount = config.mounts.find(({ destination }) => destination === "/sys/fs/cgroup");
        if (mount !== undefined) mount.options = ["nosuid", "noexec", "nodev"];
        const mapping = { containerID: 0, hostID: 100_000, size: 65_536 };
        config.linux.namespaces.push({ type: "user" });
        config.linux.uidMappings = [mapping];
        config.linux.gidMappings = [mapping];
      });
      await container.created();
      const owners = (files: string) =>
        sandbox.guest.output(`cd ${container.cgroup}; stat -c %u ${files} | xargs`);
      expect(await owners(". cgroup.procs memory.oom.group memory.reclaim")).toBe(
        "100000 100000 100000 100000",
      );
      expect(await owners("memory.max pids.max cpu.max io.max")).toBe("0 0 0 0");
    },
  );

  guestSpec(
    "pause: nothing runs until resume; delete --force ends it",
    "practice of runc and crun",
    async (sandbox) => {
      const container = sandbox.limited("while true; do :; done", {});
      await container.started();
      const usage = () => container.count("cpu.stat", "usage_usec");
      expect((await container.command("pause")).code).toBe(0);
      expect(await container.status()).toBe("paused");
      const before = await usage();
      await sandbox.guest.output("sleep 1");
      expect(await usage()).toBe(before);
      expect((await container.exec("true")).code).not.toBe(0);
      expect((await container.command("resume")).code).toBe(0);
      await sandbox.guest.output("sleep 1");
      expect(await usage()).toBeGreaterThan(before);
      expect((await container.command("pause")).code).toBe(0);
      expect((await container.command("delete", "--force")).code).toBe(0);
    },
  );

  guestSpec("ps: the processes of the cgroup", "practice of runc and crun", async (sandbox) => {
    const container = sandbox.limited("sleep 998 & sleep 999 & echo up; wait", {});
    await container.started();
    await container.printed("up");
    const pids: unknown = JSON.parse((await container.command("ps", "--format", "json")).stdout);
    expect(pids).toHaveLength(3);
    expect((await container.files("cgroup.procs")).split("\n").map(Number).sort()).toEqual(
      Array.isArray(pids) ? pids.sort() : [],
    );
  });
});
