import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { writableCgroup } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { becomeUser } from "../harness/host/user.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: doctor";

interface Found {
  readonly subject: string;
  readonly verdict: string;
  readonly detail: string;
  readonly pointer: string;
}

async function doctor(sandbox: Sandbox, ...args: string[]): Promise<{ code: number; findings: Found[] }> {
  const { code, stdout, stderr } = await sandbox.invoke(["doctor", "--json", ...args]);
  if (code === 0) expect(stderr).toBe("");
  else expect(stderr).toMatch(/^runts: .* (differs from its config|can't run containers): .+\n$/);
  const { findings } = parseObject(stdout);
  if (!Array.isArray(findings)) throw new Error("no findings");
  const text = (value: unknown) => (value === undefined ? "" : String(value));
  return {
    code,
    findings: findings.map(asObject).map(({ subject, verdict, detail, pointer }) => ({
      subject: text(subject),
      verdict: text(verdict),
      detail: text(detail),
      pointer: text(pointer),
    })),
  };
}

/** The bad findings, as subject and pointer. */
async function badOf(sandbox: Sandbox, container: Container): Promise<string[]> {
  const { code, findings } = await doctor(sandbox, container.id);
  const bad = findings.filter(({ verdict }) => verdict === "bad");
  expect(code, JSON.stringify(findings)).toBe(bad.length === 0 ? 0 : 1);
  return bad.map(({ subject, pointer }) => `${subject} ${pointer}`);
}

/** A container that uses many of the properties that doctor checks. */
function rich(sandbox: Sandbox): Container {
  return sandbox.shell("sleep 100", (config) => {
    config.root.readonly = true;
    config.process.capabilities = {
      bounding: ["CAP_KILL"],
      permitted: ["CAP_KILL"],
      effective: ["CAP_KILL"],
    };
    config.process.noNewPrivileges = true;
    config.process.rlimits = [{ type: "RLIMIT_NOFILE", hard: 200, soft: 100 }];
    config.linux.resources = {
      devices: [{ allow: false, access: "rwm" }],
      hugepageLimits: [{ pageSize: "2MB", limit: 4 << 20 }],
    };
    config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [] };
    config.linux.maskedPaths = ["/proc/keys", "/sys/firmware"];
    config.linux.readonlyPaths = ["/proc/sys"];
  });
}

function inContainer(pid: number, ...command: string[]): void {
  const args = ["-t", String(pid), "-m", "-p", "--", ...command];
  const { status, stderr } = spawnSync("nsenter", args, { encoding: "utf8" });
  expect([command, status, stderr]).toEqual([command, 0, ""]);
}

describe.runIf(IS_RUNTS)("doctor", () => {
  spec(
    "doctor: names kernel, hierarchy, namespaces and libseccomp, and finds nothing bad on this host",
    CLAUSE,
    async (sandbox) => {
      const { code, findings } = await doctor(sandbox);
      expect(code).toBe(0);
      const good = findings.filter(({ verdict }) => verdict === "good").map(({ subject }) => subject);
      expect(good).toEqual(
        expect.arrayContaining(["Linux", "system calls", "hierarchy", "kinds", "libseccomp", "device rules"]),
      );
      const controllers = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim();
      expect(findings.find(({ subject }) => subject === "controllers")?.detail).toBe(controllers || "none");
      const { stdout } = await sandbox.invoke(["doctor"]);
      expect(stdout).toMatch(/^kernel\n {2}ok {7}Linux +\d/);
    },
  );

  spec(
    "doctor: says whether commands start warm, like warm --check, and why not",
    CLAUSE,
    async (sandbox) => {
      const warmStart = async (wrapper: readonly string[]) => {
        const { stdout } = await sandbox.invoke(["doctor"], { wrapper });
        return /^ {2}(\w+) +warm start +(.*)$/m.exec(stdout)?.slice(1);
      };
      const check = await sandbox.invoke(["warm", "--check"]);
      expect((await warmStart([]))?.[0] === "ok").toBe(check.code === 0);
      expect(await warmStart(["env", "RUNTS_COLD=1"])).toEqual([
        "note",
        "disabled for this call: RUNTS_COLD is set",
      ]);
    },
  );

  spec("doctor on a host without cgroup v2: says so, exit code 1", CLAUSE, async (sandbox) => {
    const wrapper = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh"];
    const { code, stdout } = await sandbox.invoke(["doctor"], { wrapper });
    expect(code).toBe(1);
    expect(stdout).toMatch(/BAD +hierarchy .*cgroup v2/);
  });

  const FIGURES = [
    "fork and execve",
    "RCU grace period",
    "network namespace",
    "mount namespace",
    "make a cgroup",
    "remove a cgroup",
    "clone into a cgroup",
    "move to a cgroup",
    "device program",
    "state directory",
  ];

  spec(
    "doctor --slow: measures what create asks of the kernel, and leaves nothing in the cgroup and the state directory",
    CLAUSE,
    async (sandbox) => {
      const { code, stdout, stderr } = await sandbox.invoke(["doctor", "--slow", "--json"]);
      expect([code, stderr]).toEqual([0, ""]);
      const { findings } = parseObject(stdout);
      const found = Array.isArray(findings) ? findings.map(asObject) : [];
      expect(found.map(({ subject }) => subject)).toEqual(FIGURES);
      for (const { subject, verdict, milliseconds } of found) {
        expect(["good", "slow"], String(subject)).toContain(verdict);
        const { median, most } = asObject(milliseconds);
        expect(Number(median) >= 0 && Number(median) <= Number(most), String(subject)).toBe(true);
      }
      expect(readdirSync("/sys/fs/cgroup").filter((name) => name.startsWith("runts-doctor-"))).toEqual([]);
      expect(existsSync(sandbox.root) ? readdirSync(sandbox.root) : []).toEqual([]);
      const text = await sandbox.invoke(["doctor", "--slow"]);
      expect(text.stdout).toMatch(/^kernel\n {2}(ok|SLOW) +fork and execve +\d+\.\d\d ms, at most /);
    },
  );

  spec(
    "doctor --slow of a user without privileges: measures what this user may, and says what not",
    CLAUSE,
    async (sandbox) => {
      becomeUser(sandbox);
      const { code, stdout, stderr } = await sandbox.invoke(["doctor", "--slow"]);
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toMatch(/ (ok|SLOW) +mount namespace +\d/);
      expect(stdout).toMatch(/ note +device program +not measured: /);
      expect(stdout).toMatch(/ note +move to a cgroup +not measured: .* may not be written to\n/);
    },
  );

  spec("doctor --slow with a container's id: usage error", CLAUSE, async (sandbox) => {
    const { code, stderr } = await sandbox.invoke(["doctor", "--slow", "box"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^runts: --slow is about the host/);
  });

  spec(
    "doctor ID of a healthy container: nothing is bad, when created, paused and running",
    CLAUSE,
    async (sandbox) => {
      const container = rich(sandbox);
      await container.created();
      expect(await badOf(sandbox, container)).toEqual([]);
      for (const command of ["pause", "resume"]) {
        expect((await sandbox.invoke([command, container.id])).code).toBe(0);
        expect(await badOf(sandbox, container)).toEqual([]);
      }
      await container.start();
      expect(await badOf(sandbox, container)).toEqual([]);
      const { findings } = await doctor(sandbox, container.id);
      const subjects = findings.map(({ subject }) => subject);
      for (const subject of [
        "mount",
        "place",
        "hugetlb.2MB.max",
        "device program",
        "/",
        "/proc/keys",
        "seccomp",
      ])
        expect(subjects).toContain(subject);
    },
  );

  spec(
    "doctor ID of a container with a user, a joined and few other namespaces: nothing is bad",
    CLAUSE,
    async (sandbox) => {
      const first = sandbox.shell("sleep 100");
      await first.started();
      const { pid } = await first.state();
      const second = sandbox.shell("sleep 100", (config) => {
        config.linux.namespaces = [
          { type: "mount" },
          { type: "user" },
          { type: "network", path: `/proc/${pid}/ns/net` },
        ];
        config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
        config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 1000 }];
        delete config.hostname;
        config.mounts = config.mounts.filter(({ type }) => type === "tmpfs");
      });
      await second.started();
      expect(await badOf(sandbox, second)).toEqual([]);
    },
  );

  spec(
    "doctor ID of a container with links in its image: follows them inside the container",
    CLAUSE,
    async (sandbox) => {
      const container = sandbox.shell("sleep 100", (config) => {
        config.mounts.push({
          destination: "/link/data",
          type: "tmpfs",
          source: "tmpfs",
          options: ["nosuid"],
        });
        config.linux.maskedPaths = ["/out/version"];
      });
      symlinkSync("../../../run", `${container.rootfs}/link`);
      symlinkSync("/proc", `${container.rootfs}/out`);
      await container.started();
      expect(await badOf(sandbox, container)).toEqual([]);
      const { pid } = await container.state();
      inContainer(pid, "umount", "/run/data");
      inContainer(pid, "umount", "/proc/version");
      expect(await badOf(sandbox, container)).toEqual([
        expect.stringMatching(/^\/link\/data \/mounts\/\d+$/),
        "/out/version /linux/maskedPaths/0",
      ]);
    },
  );

  spec("doctor ID after tampering: names each property that no longer holds", CLAUSE, async (sandbox) => {
    const container = rich(sandbox);
    await container.started();
    const { pid } = await container.state();
    inContainer(pid, "mount", "-o", "remount,rw,bind", "/");
    inContainer(pid, "umount", "/proc/keys");
    inContainer(pid, "mount", "-o", "remount,rw,bind", "/proc/sys");
    inContainer(pid, "umount", "-l", "/dev/mqueue");
    const cgroup = `/sys/fs/cgroup/${container.id}`;
    writeFileSync(`${cgroup}/hugetlb.2MB.max`, "max");
    expect(await badOf(sandbox, container)).toEqual(
      expect.arrayContaining([
        "hugetlb.2MB.max /linux/resources/hugepageLimits/0/limit",
        "/ /root/readonly",
        "/proc/keys /linux/maskedPaths/0",
        "/proc/sys /linux/readonlyPaths/0",
        expect.stringMatching(/^\/dev\/mqueue \/mounts\/\d+$/),
      ]),
    );
    mkdirSync(`${cgroup}-elsewhere`);
    try {
      writeFileSync(`${cgroup}-elsewhere/cgroup.procs`, String(pid));
      expect(await badOf(sandbox, container)).toContain("place /linux/cgroupsPath");
      writeFileSync(`${cgroup}/cgroup.procs`, String(pid));
    } finally {
      spawnSync("rmdir", [`${cgroup}-elsewhere`]);
    }
  });

  spec("doctor ID after update: compares with the new limits", CLAUSE, async (sandbox) => {
    const container = rich(sandbox);
    await container.started();
    const change = sandbox.path("change.json");
    writeFileSync(change, JSON.stringify({ hugepageLimits: [{ pageSize: "2MB", limit: 8 << 20 }] }));
    const updated = await sandbox.invoke(["update", "--resources", change, container.id]);
    expect(updated.code, updated.stderr).toBe(0);
    expect(await badOf(sandbox, container)).toEqual([]);
    const { findings } = await doctor(sandbox, container.id);
    expect(findings.find(({ subject }) => subject === "hugetlb.2MB.max")?.detail).toBe(String(8 << 20));
  });

  spec(
    "doctor ID, init in a cgroup whose name has escape sequences: prints them escaped",
    CLAUSE,
    async (sandbox) => {
      const script =
        "name=/sys/fs/cgroup/$(printf 'a\\033[31m'); mkdir $name; echo 1 > $name/cgroup.procs && echo moved; sleep 999";
      const container = sandbox.shell(script, writableCgroup);
      await container.started();
      await expect.poll(() => container.printed()).toBe("moved");
      const { stdout } = await sandbox.invoke(["doctor", container.id]);
      expect(stdout).toContain(`/${container.id}/a\\x1b[31m`);
      expect(stdout).not.toContain("\x1b");
    },
  );

  spec("doctor ID of a stopped and of a missing container: a note, and an error", CLAUSE, async (sandbox) => {
    const container = sandbox.shell("true");
    await container.started();
    await container.until("stopped");
    expect((await doctor(sandbox, container.id)).findings).toMatchObject([{ verdict: "note" }]);
    const { code, stderr } = await sandbox.invoke(["doctor", "nobody"]);
    expect([code, stderr]).toEqual([1, "runts: container does not exist\n"]);
  });
});
