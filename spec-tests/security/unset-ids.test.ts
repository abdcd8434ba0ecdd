import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { type Config, DEFAULT_PATH } from "../harness/config.ts";
import { running } from "../harness/exec.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const STAYS_ROOT = "the last id of 32 bits leaves the process root, with its capabilities";
const CGROUP_LEFT_FOR_A_WHILE = "the kernel refuses it, and the cgroup is left for a while";

/** -1 in 32 bits: setresuid(2), setresgid(2) and chown(2) leave the id as it is, which is that of the runtime, root. */
const UNSET = 0xffffffff;
const CLAUSE = "config.md, process.user; setresuid(2)";
const IDS = ["sh", "-c", "grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status"];

const users: readonly (readonly [string, Config["process"]["user"]])[] = [
  ["uid", { uid: UNSET, gid: 1000 }],
  ["gid", { uid: 1000, gid: UNSET }],
  ["additionalGids", { uid: 1000, gid: 1000, additionalGids: [5, UNSET] }],
];

const createDeviations = byCase(
  { crun: STAYS_ROOT, cases: ["uid", "gid"] },
  { crun: CGROUP_LEFT_FOR_A_WHILE, cases: ["additionalGids"] },
);

const execDeviations = byCase({ crun: STAYS_ROOT, cases: ["uid", "gid"] });

for (const [name, user] of users) {
  spec(
    `create, ${name} 4294967295: error that names it, never root`,
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        Object.assign(config.process, { args: IDS, user });
      });
      expectRefusal(await container.create(), inOurWords(`/process/user/${name}`));
      expect(await sandbox.traces()).toEqual([]);
    },
    createDeviations(name),
  );

  spec(
    `exec --process, ${name} 4294967295: error that names it, never root`,
    CLAUSE,
    async (sandbox) => {
      const container = await running(sandbox);
      const file = sandbox.path("process.json");
      writeFileSync(file, JSON.stringify({ args: IDS, cwd: "/", env: [DEFAULT_PATH], user }));
      const result = await container.exec([], { flags: ["--process", file] });
      expect(result.stdout).toBe("");
      expectRefusal(result, inOurWords(`/user/${name}`), 255);
    },
    execDeviations(name),
  );
}

spec("exec --additional-gids 4294967295: error", CLAUSE, async (sandbox) => {
  const container = await running(sandbox);
  const result = await container.exec(IDS, { flags: ["--additional-gids", String(UNSET)] });
  expect(result.stdout).toBe("");
  expectRefusal(result, inOurWords("--additional-gids"), 255);
});

for (const name of ["uid", "gid"]) {
  spec(
    `create, devices, ${name} 4294967295: error that names it, nothing left`,
    "config-linux.md, Devices; chown(2)",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        const device = { path: "/dev/x", type: "c", major: 1, minor: 3, [name]: UNSET };
        config.linux.devices = [device];
      });
      expectRefusal(await container.create(), inOurWords(`/linux/devices/0/${name}`));
      expect(await sandbox.traces()).toEqual([]);
    },
    { both: "a device with the last id of 32 bits is root's" },
  );
}

for (const [name, number] of [
  ["major", 4097],
  ["minor", 1_048_579],
] as const) {
  spec(
    `create, devices, ${name} ${number}, which the kernel would cut to its low bits: error that names it, nothing left`,
    "config-linux.md, Devices; linux/kdev_t.h",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.linux.devices = [{ path: "/dev/x", type: "c", major: 1, minor: 3, [name]: number }];
      });
      expectRefusal(await container.create(), inOurWords(`/linux/devices/0/${name}`));
      expect(await sandbox.traces()).toEqual([]);
    },
    {
      runc: {
        reason: "the high bits of a device's numbers are cut off, which makes another device",
        before: "1.3",
      },
    },
  );
}

const mappingDeviations = byCase(
  {
    both: { reason: "the kernel refuses the mapping, and the cgroup is left for a while", sometimes: true },
    cases: ["of the host's id 4294967295", "beyond the last id"],
  },
  { crun: CGROUP_LEFT_FOR_A_WHILE, cases: ["of the container's id 4294967295"] },
);

for (const [situation, mapping, property] of [
  ["of the host's id 4294967295", { containerID: 0, hostID: UNSET, size: 1 }, "hostID"],
  ["of the container's id 4294967295", { containerID: UNSET, hostID: 5, size: 1 }, "containerID"],
  ["beyond the last id", { containerID: 0, hostID: 10, size: UNSET - 9 }, "size"],
] as const) {
  spec(
    `create, user namespace with a mapping ${situation}: error that names it, nothing left`,
    "user_namespaces(7)",
    async (sandbox) => {
      const container = sandbox.container((config) => {
        config.linux.namespaces.push({ type: "user" });
        config.linux.uidMappings = [mapping];
        config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
      });
      expectRefusal(await container.create(), inOurWords(`/linux/uidMappings/0/${property}`));
      expect(await sandbox.traces()).toEqual([]);
    },
    mappingDeviations(situation),
  );
}
