import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";

const CGROUP_LEFT = "leaves the cgroup behind when a limit is refused";

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
    "create with a limit, three cgroups below the root: the controller is enabled in each cgroup above it",
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
        // The refused container must not have made the cgroup of others threaded.
        expect(await sandbox.guest.output(`cat ${parent}/cgroup.type`)).toBe("domain");
      } finally {
        await sandbox.guest.output(
          `kill ${pid}; until rmdir ${parent} 2>/dev/null; do rmdir ${parent}/* 2>/dev/null; sleep 0.1; done`,
        );
      }
    },
    { both: "enables the controllers of threads in a cgroup with processes, and leaves it threaded" },
  );

  guestSpec("run examples/limits: the program sees its limits", "examples/limits", async (sandbox) => {
    const file = join(import.meta.dirname, "../../examples/limits/config.json");
    const container = sandbox.container((config) => {
      const { root, linux } = config;
      Object.assign(config, JSON.parse(readFileSync(file, "utf8")));
      config.root = root;
      config.linux.cgroupsPath = linux.cgroupsPath ?? "";
    });
    const lines = (await container.output()).split("\n").map((line) => line.slice(line.lastIndexOf("/") + 1));
    expect(lines).toEqual(["memory.max:67108864", "pids.max:20", "cpu.max:50000 100000"]);
  });

  guestSpec(
    "create with unified: each line is written, after all other properties",
    UNIFIED,
    async (sandbox) => {
      const unified = {
        "memory.high": "20971520",
        "pids.max": "7",
        "io.max": "1:0 rbps=1000\n1:1 wbps=2000",
        "cpu.max": "30000 60000",
      };
      const container = sandbox.limited("sleep 999", { unified, pids: { limit: 5 }, cpu: { quota: 10_000 } });
      await container.created();
      expect(await container.files("memory.high", "pids.max", "cpu.max")).toBe("20971520\n7\n30000 60000");
      expect((await container.files("io.max")).split("\n").sort()).toEqual([
        "1:0 rbps=1000 wbps=max riops=max wiops=max",
        "1:1 rbps=max wbps=2000 riops=max wiops=max",
      ]);
    },
    { runc: "writes all lines of a value at once, which the kernel refuses" },
  );

  for (const [file, value, words] of [
    ["memory.nothing", "1", /memory\.nothing/],
    ["dmem.max", "x 0", /dmem/],
    ["pids.max", "many", /pids\.max/],
    ["cgroup.nothing", "1", /cgroup\.nothing/],
  ] as const) {
    guestSpec(
      `create with unified ${file} "${value}": error that names it`,
      UNIFIED,
      async (sandbox) => {
        const result = await sandbox.limited("true", { unified: { [file]: value } }).create();
        sandbox.expectRefusal(result, words, new RegExp(`/linux/resources/unified/${file}: `));
      },
      { crun: CGROUP_LEFT },
    );
  }

  guestSpec(
    "create with unified, controller missing in the kernel: error that names controller and cgroup",
    PROMISE,
    async (sandbox) => {
      const result = await sandbox.limited("true", { unified: { "dmem.max": "x 0" } }).create();
      sandbox.expectRefusal(
        result,
        /dmem/,
        /\/unified\/dmem\.max: .*dmem controller .*\/sys\/fs\/cgroup\/cgroup\.controllers; the kernel needs it/,
      );
    },
    { crun: CGROUP_LEFT },
  );

  guestSpec("update with unified: the new value holds", "practice of crun", async (sandbox) => {
    const container = sandbox.limited("sleep 999", {});
    await container.started();
    const result = await container.update({ unified: { "memory.high": "20971520" } });
    expect(result.stderr).toBe("");
    expect(await container.files("memory.high")).toBe("20971520");
  });

  guestSpec(
    "update, last value refused: all other values are restored",
    "promise: an update is applied whole or not at all",
    async (sandbox) => {
      const files = [
        ...["memory.max", "memory.swap.max", "memory.low", "pids.max"],
        ...["cpu.max", "cpu.max.burst", "cpu.weight", "cpu.idle", "io.max"],
      ];
      const container = sandbox.limited("sleep 999", {
        memory: { limit: 33_554_432, swap: 50_331_648 },
        cpu: { quota: 50_000, period: 100_000 },
      });
      await container.started();
      const before = await container.files(...files);
      const result = await container.update({
        memory: { limit: 16_777_216, swap: 16_777_216, reservation: 4096 },
        cpu: { quota: 20_000, period: 200_000, burst: 10_000, idle: 1 },
        pids: { limit: 9 },
        blockIO: { throttleReadBpsDevice: [{ major: 1, minor: 1, rate: 1000 }] },
        unified: { "memory.high": "much" },
      });
      sandbox.expectRefusal(result, /memory\.high/, /\/unified\/memory\.high: [^;]*$/);
      expect(await container.files(...files)).toBe(before);
    },
    { both: "a refused value leaves the update half done" },
  );

  guestSpec(
    "update, last value refused after one that can't be restored: the error names the latter",
    "promise: an update is applied whole or not at all",
    async (sandbox) => {
      const container = sandbox.limited("sleep 999", {});
      await container.started();
      const unified = { "cgroup.subtree_control": "+pids", "memory.high": "much" };
      const words = /memory\.high: .*; could not be restored: \/.*\/unified\/cgroup\.subtree_control\n/;
      sandbox.expectRefusal(await container.update({ unified }), /memory\.high/, words);
    },
  );

  guestSpec(
    "create with a user namespace: the container owns the delegated files of the memory controller",
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
    { runc: "the cgroupfs driver never changes the owner of a cgroup" },
  );

  guestSpec(
    "pause: nothing runs until resume; delete --force works on a paused container",
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
