import { execFileSync } from "node:child_process";
import { readlinkSync, statSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { setNamespace } from "../harness/config.ts";
import { held } from "../harness/host/held-namespace.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CGROUP_LEFT = "leaves the cgroup when create fails after making it";

const CLAUSE = "config-linux.md, Namespaces: path";

for (const [type, file] of [
  ["network", "net"],
  ["mount", "mnt"],
  ["ipc", "ipc"],
  ["uts", "uts"],
  ["pid", "pid"],
  ["cgroup", "cgroup"],
] as const) {
  spec(`create, namespace ${type} with a path: joined`, `${CLAUSE} MUST be joined`, async (sandbox) => {
    const path = await held(sandbox, type);
    const container = sandbox.shell("sleep 1000", (config) => {
      setNamespace(config, type, { type, path });
    });
    await container.created();
    const { pid } = await container.state();
    expect(readlinkSync(`/proc/${pid}/ns/${file}`)).toBe(readlinkSync(path));
  });
}

spec(
  "run, namespace network with a bind-mounted path: joined, and left in place by delete",
  "practice of runc and crun",
  async (sandbox) => {
    const path = sandbox.path("netns");
    writeFileSync(path, "");
    execFileSync("unshare", [`--net=${path}`, "true"]);
    sandbox.atEnd(() => void execFileSync("umount", [path]));
    const inode = statSync(path).ino;
    const container = sandbox.shell("readlink /proc/self/ns/net", (config) => {
      setNamespace(config, "network", { type: "network", path });
    });
    expect(await container.output()).toBe(`net:[${inode}]\n`);
    expect(statSync(path).ino).toBe(inode);
  },
);

spec(
  "create, namespace path of the wrong type: error, nothing left",
  `${CLAUSE}: MUST error if the type differs`,
  async (sandbox) => {
    const path = await held(sandbox, "network");
    const container = sandbox.container((config) => {
      setNamespace(config, "ipc", { type: "ipc", path });
    });
    expectRefusal(await container.create(), inOurWords("/linux/namespaces/5/path: "));
    expect(await sandbox.traces()).toEqual([]);
  },
  {
    crun: CGROUP_LEFT,
    runc: {
      reason: "after an error of the kernel in the first steps, the cgroup may stay",
      sometimes: true,
      before: "1.3",
    },
  },
);

for (const [situation, path] of [
  ["missing", "/no/such/namespace"],
  ["a plain file", "/etc/hostname"],
  ["relative", "proc/self/ns/net"],
] as const) {
  spec(
    `create, namespace path ${situation}: error, nothing left`,
    `${CLAUSE}: absolute, MUST error if not a namespace`,
    async (sandbox) => {
      const container = sandbox.container((config) => {
        setNamespace(config, "network", { type: "network", path });
      });
      expectRefusal(await container.create(), inOurWords("/linux/namespaces/5/path: "));
      expect(await sandbox.traces()).toEqual([]);
    },
    { crun: CGROUP_LEFT },
  );
}
