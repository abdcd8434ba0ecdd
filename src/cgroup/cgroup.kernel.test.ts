import { closeSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createCgroup, openCgroup } from "./create.ts";
import { CGROUP_MOUNT, cgroupName, processesOf, visitCgroups } from "./files.ts";
import { hasEvent, isEffectivelyFrozen, isFrozen, setFrozen } from "./freeze.ts";
import { freshCgroup, hostHas, type Member, read, skipReason, startMember } from "./kernel.test-support.ts";
import { applyResources } from "./limits/apply.ts";
import { killCgroup, removeCgroup } from "./remove.ts";

const options = { rootless: false };

describe.skipIf(skipReason !== false)(
  `cgroups${skipReason === false ? "" : ` (skipped: ${skipReason})`}`,
  () => {
    let directory = "";

    beforeEach(() => {
      directory = freshCgroup();
    });

    afterEach(() => {
      removeCgroup(directory);
    });

    test("create creates missing ancestors and lists what it created, remove removes all of it", () => {
      const cgroup = createCgroup(`${directory}/a/b`, undefined, options);
      expect(cgroup.created).toEqual([directory, `${directory}/a`, `${directory}/a/b`]);
      expect(read(`${directory}/a/b`, "cgroup.controllers")).toBe(read(CGROUP_MOUNT, "cgroup.controllers"));
      expect(createCgroup(`${directory}/a/b`, undefined, options).created).toEqual([]);
      removeCgroup(directory);
      expect(existsSync(directory)).toBe(false);
      removeCgroup(directory);
    });

    test("create refuses a cgroup with processes in it or below it", async () => {
      mkdirSync(`${directory}/inner`, { recursive: true });
      const member = startMember(`${directory}/inner`);
      expect(hasEvent(directory, "populated 1")).toBe(true);
      expect(() => createCgroup(directory, undefined, options)).toThrow(
        `container's cgroup is not empty: 1 process(es) found in ${cgroupName(directory)}: ${member.pid} (sh`,
      );
      expect(() => createCgroup(`${directory}/inner`, undefined, options)).toThrow("is not empty");
      createCgroup(`${directory}/other`, undefined, options);
      removeCgroup(directory);
      await member.ended;
      expect(existsSync(directory)).toBe(false);
    });

    test("create refuses a frozen cgroup and one below a frozen one, and leaves nothing there", () => {
      createCgroup(directory, undefined, options);
      writeFileSync(`${directory}/cgroup.freeze`, "1");
      expect(() => createCgroup(directory, undefined, options)).toThrow("unexpectedly frozen");
      expect(() => createCgroup(`${directory}/inner`, undefined, options)).toThrow("unexpectedly frozen");
      expect(existsSync(`${directory}/inner`)).toBe(false);
    });

    test("kill reaches frozen processes and those of sub-cgroups", async () => {
      mkdirSync(`${directory}/inner`, { recursive: true });
      const members = [startMember(directory), startMember(`${directory}/inner`)];
      expect(isFrozen(directory)).toBe(false);
      setFrozen(directory, true);
      expect(isFrozen(directory)).toBe(true);
      expect(isFrozen(`${directory}/inner`)).toBe(false);
      expect(isEffectivelyFrozen(`${directory}/inner`)).toBe(true);
      killCgroup(directory);
      await Promise.all(members.map((member) => member.ended));
      // The kernel counts a process until it leaves the CPU for the last time, which may be after its parent has reaped it.
      await expect.poll(() => hasEvent(directory, "populated 1"), { timeout: 20_000 }).toBe(false);
      setFrozen(directory, false);
      expect(isFrozen(directory)).toBe(false);
    });

    test("a cgroup that does not exist is neither frozen nor populated, and can be killed", () => {
      expect([isFrozen(directory), hasEvent(directory, "populated 1")]).toEqual([false, false]);
      killCgroup(directory);
    });

    test("processesOf, freeze and remove reach names that are not UTF-8, and more levels than a path can have", async () => {
      mkdirSync(directory);
      const noText = Buffer.from(`${directory}/?`);
      noText[noText.length - 1] = 0xff;
      mkdirSync(noText);
      const long = "x".repeat(250);
      const before = process.cwd();
      const members: Member[] = [];
      try {
        process.chdir(directory);
        for (let level = 0; level < 20; level++) {
          mkdirSync(long);
          process.chdir(long);
        }
        members.push(startMember("."));
        mkdirSync("empty");
      } finally {
        process.chdir(before);
      }
      members.push(startMember(noText));
      expect(processesOf(directory).sort()).toEqual(members.map(({ pid }) => pid).sort());
      setFrozen(directory, true);
      const states: boolean[] = [];
      visitCgroups(directory, (cgroup) => states.push(isEffectivelyFrozen(cgroup)));
      expect(states).toEqual(Array(23).fill(true));
      removeCgroup(directory);
      await Promise.all(members.map(({ ended }) => ended));
      expect(existsSync(directory)).toBe(false);
    });

    test("remove refuses what is not a cgroup below the root", () => {
      mkdirSync(directory);
      for (const path of ["/tmp", CGROUP_MOUNT, `${directory}/..`, `${CGROUP_MOUNT}/.`])
        expect(() => removeCgroup(path)).toThrow(`refusing to remove ${path}`);
    });

    test.skipIf(hostHas("rdma"))("a controller that the host lacks is named with the property", () => {
      createCgroup(directory, undefined, options);
      const resources = { rdma: { mlx5_0: { hcaHandles: 1 } } };
      expect(() => applyResources(directory, resources, options)).toThrow(
        `/linux/resources/rdma/mlx5_0: cannot write rdma.max: the rdma controller is not available in cgroup ` +
          `${cgroupName(directory)}: it is missing in ${CGROUP_MOUNT}/cgroup.controllers; the kernel needs it built in`,
      );
    });

    test("values that mean no limit need no controller", () => {
      createCgroup(directory, undefined, options);
      const resources = { memory: { limit: -1n }, pids: { limit: -1n }, cpu: { quota: -1n, shares: 0n } };
      expect(() => applyResources(directory, resources, options)).not.toThrow();
    });

    test("a file that the kernel lacks is named", () => {
      createCgroup(directory, undefined, options);
      expect(() => applyResources(directory, { unified: { "cgroup.nonsense": "1" } }, options)).toThrow(
        `/linux/resources/unified/cgroup.nonsense: cannot write cgroup.nonsense of cgroup ${cgroupName(directory)}: ` +
          "this kernel has no such file",
      );
    });

    test.skipIf(!hostHas("hugetlb"))(
      "huge page limits are written to both files, and errors name value and file",
      () => {
        createCgroup(directory, undefined, options);
        applyResources(directory, { hugepageLimits: [{ pageSize: "2MB", limit: 4194304n }] }, options);
        expect(read(directory, "hugetlb.2MB.max")).toBe("4194304");
        expect(read(directory, "hugetlb.2MB.rsvd.max")).toBe("4194304");
        applyResources(directory, { unified: { "hugetlb.2MB.max": "max" } }, options);
        expect(read(directory, "hugetlb.2MB.max")).toBe("max");
        expect(() => applyResources(directory, { unified: { "hugetlb.2MB.max": "many" } }, options)).toThrow(
          `cannot write "many" to hugetlb.2MB.max of cgroup ${cgroupName(directory)}: invalid argument (EINVAL)`,
        );
        const sizes = { hugepageLimits: [{ pageSize: "3MB", limit: 1n }] };
        expect(() => applyResources(directory, sizes, options)).toThrow("this kernel has no such file");
      },
    );

    test.skipIf(!hostHas("hugetlb"))("explains why processes in the parent block a controller", async () => {
      mkdirSync(directory);
      const member = startMember(directory);
      const inner = `${directory}/inner`;
      createCgroup(inner, undefined, options);
      const resources = { hugepageLimits: [{ pageSize: "2MB", limit: 0n }] };
      expect(() => applyResources(inner, resources, options)).toThrow(
        `it is not enabled in ${directory}/cgroup.subtree_control, as ${cgroupName(directory)} has processes of its own; ` +
          `move them into a cgroup below it, or choose another cgroupsPath: ${member.pid} (sh`,
      );
      killCgroup(directory);
      await member.ended;
    });

    test("a threaded cgroup takes a container only if all controllers are threaded", () => {
      mkdirSync(`${directory}/threaded`, { recursive: true });
      writeFileSync(`${directory}/threaded/cgroup.type`, "threaded");
      const inner = `${directory}/inner`;
      const resources = { hugepageLimits: [{ pageSize: "2MB", limit: 0n }] };
      expect(() => createCgroup(inner, resources, options)).toThrow(
        "the hugetlb controller does not work in cgroup",
      );
      createCgroup(inner, { pids: { limit: 1n } }, options);
      expect(read(inner, "cgroup.type")).toBe("threaded");
    });

    test("the descriptor is of the directory, and close-on-exec", () => {
      const fd = openCgroup(createCgroup(directory, undefined, options));
      expect(read("/proc/self/fdinfo", String(fd))).toMatch(/flags:\s+012600000/);
      closeSync(fd);
    });
  },
);
