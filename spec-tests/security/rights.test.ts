import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Config, setNamespace } from "../harness/config.ts";
import { running } from "../harness/exec.ts";
import { becomeUser, delegatedCgroup, rootlessShell } from "../harness/host/user.ts";
import { giveToMappedRoot, mapIds } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { giveRootfsTo } from "../harness/rootfs.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const USER_READ_WRONGLY = {
  reason:
    "1.21 misreads --user: without a group it is root, and text that is not a number is accepted (CVE-2026-30892)",
  before: "1.28",
};
const STRTOL = "anything that strtol(3) takes for a number passes, and the greatest id is refused";
const USERS_ABOVE_2_31 = "users above 2^31 are refused, a sign and numbers that are too large are accepted";

/** A container has the users, groups, capabilities and cgroups that it is given, and no others. */

const USER = 1000;

/** A container of an unprivileged user who maps only their own ids. */
function ofUser(sandbox: Sandbox, script: string, mutate: (config: Config) => void = () => undefined) {
  const container = sandbox.shell(script, (config) => {
    config.linux.namespaces = ["user", "mount", "pid", "ipc", "uts"].map((type) => ({ type }));
    config.linux.uidMappings = [{ containerID: 0, hostID: USER, size: 1 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: USER, size: 1 }];
    config.linux.resources = {};
    delete config.linux.cgroupsPath;
    delete config.process.rlimits;
    config.mounts = [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
    ];
    mutate(config);
  });
  giveRootfsTo(container.rootfs, { uid: USER, gid: USER });
  for (const folder of [sandbox.root, sandbox.temporary]) {
    mkdirSync(folder, { recursive: true });
    chownSync(folder, USER, USER);
  }
  chmodSync(container.bundle, 0o755);
  const wrapper = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--groups=4,24", "--"];
  return { container, wrapper };
}

spec(
  "run by a user without privileges: setgroups is denied, no group can be dropped",
  "CVE-2014-8989",
  async (sandbox) => {
    const { container, wrapper } = ofUser(sandbox, "cat /proc/self/setgroups; id -G; cat /proc/self/gid_map");
    const { stdout } = await container.run({ wrapper });
    const [setgroups, groups, map] = stdout.split("\n");
    expect(setgroups).toBe("deny");
    // Groups that aren't mapped show as the overflow id: both are still there.
    expect(groups?.split(" ").length).toBe(3);
    expect(map?.trim().split(/\s+/)).toEqual(["0", String(USER), "1"]);
  },
);

const CAPABILITIES = ["grep", "^Cap", "/proc/self/status"];
const NET_RAW = 1n << 13n;

function bits(status: string, set: string): bigint {
  return BigInt(`0x${new RegExp(`^${set}:\\s*(\\w+)`, "m").exec(status)?.[1] ?? "0"}`);
}

spec(
  "exec --cap, as root and as a user: the inheritable and ambient sets stay empty",
  "CVE-2022-29162, CVE-2022-27650",
  async (sandbox) => {
    const container = await running(sandbox);
    for (const user of ["0", "1000"]) {
      const flags = ["--cap", "CAP_NET_RAW", "--user", user];
      const { stdout } = await container.exec(CAPABILITIES, { flags });
      expect(bits(stdout, "CapBnd") & NET_RAW).toBe(NET_RAW);
      expect([bits(stdout, "CapInh"), bits(stdout, "CapAmb")]).toEqual([0n, 0n]);
    }
  },
);

spec("spec: no capability is inheritable", "CVE-2022-29162, CVE-2022-27650", async (sandbox) => {
  const folder = sandbox.path("written");
  mkdirSync(folder);
  expect((await sandbox.invoke(["spec", "--bundle", folder])).code).toBe(0);
  const { capabilities } = JSON.parse(readFileSync(`${folder}/config.json`, "utf8")).process;
  expect(capabilities.bounding.length).toBeGreaterThan(0);
  expect(capabilities.inheritable ?? []).toEqual([]);
});

const userDeviations = byCase(
  { crun: USER_READ_WRONGLY, cases: ["1", "01", "65534"] },
  {
    crun: STRTOL,
    runc: { reason: USERS_ABOVE_2_31, before: "1.3" },
    cases: ["4294967294"],
  },
);

for (const text of ["1", "1:1", "01", "65534", "4294967294"]) {
  spec(
    `exec --user ${text}: that user, not root`,
    "CVE-2026-30892",
    async (sandbox) => {
      const container = await running(sandbox);
      const { stdout } = await container.exec(["id", "-u"], { flags: ["--user", text] });
      expect(stdout).toBe(`${Number(text.split(":")[0])}\n`);
    },
    userDeviations(text),
  );
}

const refusedUserDeviations = byCase(
  { crun: STRTOL, cases: ['"-1"', '" 1"'] },
  { crun: STRTOL, runc: USERS_ABOVE_2_31, cases: ['"+1"'] },
  { crun: USER_READ_WRONGLY, cases: ['"4294967295"', '"1:"', '":1"'] },
  { crun: USER_READ_WRONGLY, runc: USERS_ABOVE_2_31, cases: ['"4294967296"'] },
);

for (const text of [
  "x",
  "1x",
  "-1",
  "+1",
  " 1",
  "1 ",
  "1.0",
  "1e3",
  "0x1",
  "4294967295",
  "4294967296",
  "1:",
  ":1",
]) {
  spec(
    `exec --user ${JSON.stringify(text)}: refused, never root`,
    "CVE-2026-30892",
    async (sandbox) => {
      const container = await running(sandbox);
      const result = await container.exec(["id", "-u"], { flags: [`--user=${text}`] });
      expectRefusal(result, inOurWords("--user: "), 255);
      expect(result.stdout).toBe("");
    },
    refusedUserDeviations(JSON.stringify(text)),
  );
}

spec(
  'exec --user "": the user of the container, not root',
  "CVE-2026-30892",
  async (sandbox) => {
    const container = await running(sandbox, (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    });
    expect((await container.exec(["id", "-u"], { flags: ["--user="] })).stdout).not.toBe("0\n");
  },
  { crun: USER_READ_WRONGLY },
);

const WRITABLE = ["nosuid", "noexec", "nodev", "rw"];

/** Tries to write to each cgroup in sight, and prints those where that succeeds. */
const WRITE_EVERYWHERE =
  'find /sys/fs/cgroup -type d | while read -r group; do mkdir "$group/made" 2>/dev/null && echo "$group"; ' +
  '( echo 0 > "$group/cgroup.procs" ) 2>/dev/null && echo "$group"; done; echo end';

for (const [situation, mutate] of [
  ["root", () => undefined],
  ["a user namespace", mapIds],
] as const) {
  spec(
    `run in the host's cgroup namespace, ${situation}, cgroup mount with ro: no cgroup can be written`,
    "CVE-2023-25809",
    async (sandbox) => {
      const container = sandbox.shell(WRITE_EVERYWHERE, (config) => {
        setNamespace(config, "cgroup", undefined);
        mutate(config);
      });
      if (container.config.linux.uidMappings !== undefined) giveToMappedRoot(container);
      expect(await container.output()).toBe("end\n");
    },
  );
}

spec(
  "run by a user who has a cgroup, in the host's cgroup namespace, cgroup mount with ro: no cgroup can be written",
  "CVE-2023-25809",
  async (sandbox) => {
    const delegated = delegatedCgroup(sandbox, "user");
    becomeUser(sandbox, { cgroup: delegatedCgroup(sandbox, "caller", delegated) });
    const container = rootlessShell(sandbox, WRITE_EVERYWHERE, (config) => {
      setNamespace(config, "cgroup", undefined);
    });
    expect(await container.output()).toBe("end\n");
  },
);

if (IS_RUNTS) {
  spec(
    "run by a user without a cgroup, in the host's cgroup namespace, with CAP_SYS_ADMIN: no cgroup can be written",
    "CVE-2023-25809",
    async (sandbox) => {
      // The caller's cgroup belongs to the user, except cgroup.procs: so the container gets no cgroup of its own.
      const delegated = delegatedCgroup(sandbox, "user");
      becomeUser(sandbox, { cgroup: delegated });
      chownSync(join(delegated, "cgroup.procs"), 0, 0);
      const remount = "mount -o remount,bind,rw /sys/fs/cgroup 2>/dev/null";
      const container = rootlessShell(sandbox, `${remount}; ${WRITE_EVERYWHERE}`, (config) => {
        setNamespace(config, "cgroup", undefined);
        for (const mount of config.mounts) if (mount.type === "cgroup") mount.options = WRITABLE;
        const capabilities = ["CAP_SYS_ADMIN"];
        config.process.capabilities = {
          bounding: capabilities,
          effective: capabilities,
          permitted: capabilities,
        };
      });
      expect(await container.output()).toBe("end\n");
    },
  );
}

/** Attempts that succeed only as root of the host. Each line of output is a success. */
const BREAKOUT = [
  "mount -t tmpfs none /mnt && echo mount",
  "mknod /tmp/disk b 8 0 && echo mknod",
  "chroot / /bin/true && echo chroot",
  "cat /etc/secret && echo read",
  "echo 1 > /proc/sys/vm/drop_caches && echo sysctl",
  "chown 0:0 /tmp && echo chown",
  "nice -n -5 true && echo nice",
  "hostname changed && echo hostname",
  "grep -E '^(Cap(Inh|Prm|Eff|Amb):.*[1-9a-f]|NoNewPrivs:.*0|Seccomp:.*0)' /proc/self/status",
].join("; ");

for (const [situation, base] of [
  ["no user namespace", undefined],
  ["a user namespace", 100_000],
] as const) {
  spec(
    `start, ${situation}, a startContainer hook of the image: it gets no right that the process doesn't have`,
    "promise: rights; config.md, StartContainer hooks",
    async (sandbox) => {
      const container = sandbox.shell("echo end; exec sleep 1000", (config) => {
        config.root.readonly = false;
        config.process.user = { uid: USER, gid: USER };
        config.linux.seccomp = {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["chroot", "sethostname"], action: "SCMP_ACT_ERRNO" }],
        };
        if (base !== undefined) {
          config.linux.namespaces.push({ type: "user" });
          config.linux.uidMappings = [{ containerID: 0, hostID: base, size: 65_536 }];
          config.linux.gidMappings = [{ containerID: 0, hostID: base, size: 65_536 }];
        }
        const args = ["sh", "-c", `(${BREAKOUT}) > /tmp/rights 2>/dev/null; true`];
        config.hooks = { startContainer: [{ path: "/bin/sh", args, env: ["PATH=/bin"] }] };
      });
      container.writeFile("etc/secret", "words\n", 0o600);
      if (base !== undefined) giveRootfsTo(container.rootfs, { uid: base, gid: base });
      await container.started();
      await expect.poll(() => container.printed()).toBe("end");
      expect(container.readFile("tmp/rights")).toBe("");
    },
  );
}

spec(
  "start in a user namespace, the caller has groups: no hook in the container has them",
  "user_namespaces(7): a group of the host may read files",
  async (sandbox) => {
    const container = sandbox.shell("echo end; exec sleep 1000", (config) => {
      config.root.readonly = false;
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      const read = (path: string) => ({
        path: "/bin/sh",
        args: ["sh", "-c", `cat ${path} 2>/dev/null; test $? -ne 0`],
        env: ["PATH=/usr/bin:/bin"],
      });
      config.hooks = {
        createContainer: [read(sandbox.path("secret"))],
        startContainer: [read("/secret")],
      };
      const secret = sandbox.path("secret");
      writeFileSync(secret, "words\n");
      chownSync(secret, 0, 42);
      chmodSync(secret, 0o640);
      config.mounts.push({ destination: "/secret", type: "bind", source: secret, options: ["bind"] });
    });
    giveRootfsTo(container.rootfs, { uid: 100_000, gid: 100_000 });
    sandbox.wrapper = ["setpriv", "--groups=0,42", "--"];
    await container.started();
    await expect.poll(() => container.printed()).toBe("end");
  },
);
