import { mkdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import {
  becomeUser,
  ownFolder,
  RANGE,
  rangeShell,
  rootlessConfig,
  rootlessShell,
  userWrapper,
} from "../harness/host/user.ts";
import { mappedShell } from "../harness/host/user-namespace.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS, invoke } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

/** Operations that need privileges are refused. The error of runts says what has to change. */
const CLAUSE = "runtime.md, Errors";

/** Expects an error, and under runts these words in it. */
function expectHint(result: Parameters<typeof expectRefusal>[0], ...words: readonly RegExp[]): void {
  expectRefusal(result);
  if (IS_RUNTS) for (const word of words) expect(result.stderr).toMatch(word);
}

spec(
  "rootless create, no user namespace: error that names it",
  CLAUSE,
  async (sandbox) => {
    becomeUser(sandbox);
    const container = sandbox.container((config) => {
      rootlessConfig(config);
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "user");
      delete config.linux.uidMappings;
      delete config.linux.gidMappings;
    });
    expectHint(await container.create(), /\/linux\/namespaces/, /user namespace/, /spec --rootless/);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "adds a user namespace of its own" },
);

spec(
  "rootless create, newuidmap missing: error that names the package to install",
  CLAUSE,
  async (sandbox) => {
    becomeUser(sandbox, { without: ["/usr/bin/newuidmap"] });
    const container = rangeShell(sandbox, "true");
    expectHint(await container.create(), /\/linux\/uidMappings/, /newuidmap/, /install uidmap/);
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec("rootless create, range not in subuid: error that names the file to change", CLAUSE, async (sandbox) => {
  becomeUser(sandbox, { subids: "tester:400000:10\n" });
  const container = rangeShell(sandbox, "true");
  const last = RANGE.hostID + RANGE.size - 1;
  expectHint(
    await container.create(),
    /not allowed/,
    new RegExp(`${RANGE.hostID} to ${last} are not given to tester in /etc/subgid`),
  );
  expect(await sandbox.traces()).toEqual([]);
});

spec("rootless create, caller has no_new_privs: error that names it", CLAUSE, async (sandbox) => {
  becomeUser(sandbox);
  const container = rangeShell(sandbox, "true");
  const wrapper = [...sandbox.wrapper, "setpriv", "--no-new-privs", "--"];
  expectHint(await container.create({ wrapper }), /no_new_privs/);
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "create, user.max_user_namespaces is 0: error that names it",
  CLAUSE,
  async (sandbox) => {
    // The limit that a user namespace sets holds in those below it. The caller is root of one with the limit 0.
    sandbox.wrapper = [
      ...["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"],
      'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"',
      "sh",
    ];
    const container = sandbox.container((config) => {
      rootlessConfig(config);
      config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
    });
    expectHint(await container.create(), /user\.max_user_namespaces is 0/, /sysctl -w/);
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "state is left when create fails" },
);

spec(
  "rootless create, limits, but no cgroup is delegated: error that names the limit and the directory",
  "promise: a limit is never ignored",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "true", (config) => {
      config.linux.resources = { pids: { limit: 10 } };
    });
    expectHint(
      await container.create(),
      /^runts: \/linux\/resources\/pids\/limit: /,
      /belongs to user 0/,
      /delegated/,
    );
    expect(await sandbox.traces()).toEqual([]);
  },
  { crun: "limits are left out where there is no cgroup" },
);

spec(
  "rootless create, cgroupsPath that is not the caller's: error that names the directory",
  "config-linux.md, Cgroups Path",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "true", (config) => {
      config.linux.cgroupsPath = `/${sandbox.tag}-other`;
    });
    expectHint(
      await container.create(),
      /^runts: \/linux\/cgroupsPath: /,
      /\/sys\/fs\/cgroup belongs to user 0/,
    );
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "rootless create, hard limit above the caller's: error that names the caller's",
  "setrlimit(2)",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "true", (config) => {
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 64, hard: 65 }];
    });
    const wrapper = [...sandbox.wrapper, "sh", "-c", 'ulimit -n 64; exec "$@"', "sh"];
    expectHint(await container.run({ wrapper }), /\/process\/rlimits\/0/, /caller's, 64/);
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "rootless create, oomScoreAdj: may be raised, not lowered",
  "proc_pid_oom_score_adj(5)",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "cat /proc/self/oom_score_adj", (config) => {
      config.process.oomScoreAdj = 500;
    });
    expect(await container.output()).toBe("500\n");
    container.config.process.oomScoreAdj = -500;
    container.writeConfig();
    const own = readFileSync("/proc/self/oom_score_adj", "utf8").trim();
    const words = new RegExp(`lower than the caller's, ${own}\n`);
    expectHint(await container.create(), /\/process\/oomScoreAdj/, words);
  },
);

spec(
  "rootless create, gid= of devpts not mapped: error that names it",
  "config.md, Mounts",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "true", (config) => {
      for (const mount of config.mounts) if (mount.type === "devpts") mount.options?.push("gid=5");
    });
    expectHint(await container.create(), /\/mounts\/\d+: /, /gid=5/, /\/linux\/gidMappings/);
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec("rootless create, user not mapped: error that names it", "config.md, User", async (sandbox) => {
  const container = rootlessShell(sandbox, "true", (config) => {
    config.process.user = { uid: 7, gid: 0 };
  });
  expectHint(await container.create(), /\/process\/user\/uid: .*not in \/linux\/uidMappings/);
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "rootless run, a bind mount with ro: keeps the flags that the host has locked",
  "opencontainers/runc#3805",
  async (sandbox) => {
    const source = ownFolder(sandbox);
    const lines = (text: string): string[] => text.trim().split("\n");
    const container = rootlessShell(
      sandbox,
      "grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f6",
      (config) => {
        config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["bind", "ro"] });
      },
    );
    const mounted = 'mount -t tmpfs -o nosuid,nodev,noexec tmpfs "$1"; shift; exec "$@"';
    const wrapper = ["unshare", "--mount", "sh", "-c", mounted, "sh", source, ...sandbox.wrapper];
    expect(lines(await container.output({ wrapper }))).toEqual(["ro,nosuid,nodev,noexec,relatime"]);
  },
  {
    runc: {
      reason: "a bind mount does not keep the locked flags of its source in 1.1 (opencontainers/runc#3805)",
      before: "1.2",
    },
  },
);

spec(
  "rootless create, a bind mount with exec of a noexec mount: refused",
  "mount_namespaces(7), locked flags",
  async (sandbox) => {
    const source = ownFolder(sandbox);
    const container = rootlessShell(sandbox, "true", (config) => {
      config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["bind", "exec"] });
    });
    const mounted = 'mount -t tmpfs -o nosuid,nodev,noexec tmpfs "$1"; shift; exec "$@"';
    const wrapper = ["unshare", "--mount", "sh", "-c", mounted, "sh", source, ...sandbox.wrapper];
    expectHint(await container.create({ wrapper }), /\/mounts\/\d+: /, /noexec/);
    expect(await sandbox.traces()).toEqual([]);
  },
  {
    crun: "a locked flag stays, whatever the config says",
    runc: { reason: "a locked flag stays, whatever the config says", before: "1.3" },
  },
);

spec(
  "rootless run, sysfs without a network namespace: the host's is bound",
  "practice of crun",
  async (sandbox) => {
    const container = rootlessShell(sandbox, "ls /sys; touch /sys/x", (config) => {
      for (const mount of config.mounts)
        if (mount.destination === "/sys")
          Object.assign(mount, {
            type: "sysfs",
            source: "sysfs",
            options: ["nosuid", "noexec", "nodev", "ro"],
          });
    });
    const { stdout, stderr } = await container.run();
    expect(stdout).toContain("kernel\n");
    expect(stderr).toContain("Read-only file system");
  },
  { runc: "sysfs is never replaced by a bind mount" },
);

spec(
  "rootless list without --root: the state root is below XDG_RUNTIME_DIR; error without that variable",
  "XDG Base Directory Specification",
  async (sandbox) => {
    const folder = ownFolder(sandbox);
    const wrapper = userWrapper(sandbox);
    const options = { directory: sandbox.directory, wrapper };
    const list = await invoke(["list", "--quiet"], { ...options, env: { XDG_RUNTIME_DIR: folder } });
    expect(list).toEqual({ code: 0, stdout: "", stderr: "" });
    expectHint(await invoke(["list"], options), /XDG_RUNTIME_DIR/, /--root/);
    expectHint(
      await invoke(["create", "--bundle", folder, "x"], {
        ...options,
        env: { XDG_RUNTIME_DIR: sandbox.directory },
      }),
      /XDG_RUNTIME_DIR that of the caller/,
    );
  },
);

if (IS_RUNTS) {
  for (const words of [
    ["explain", "--as", "caller"],
    ["validate", "--host"],
  ])
    spec(
      `${words.join(" ")} without --root: the state root is below XDG_RUNTIME_DIR, as for create; error without that variable`,
      CLAUSE,
      async (sandbox) => {
        const { bundle } = rootlessShell(sandbox, "true");
        const folder = ownFolder(sandbox);
        const options = { directory: sandbox.directory, wrapper: sandbox.wrapper };
        const args = [...words, "--bundle", bundle];
        const { code, stdout, stderr } = await invoke(args, { ...options, env: { XDG_RUNTIME_DIR: folder } });
        expect([code, stderr]).toEqual([0, ""]);
        expect(stdout).not.toContain("/run/runts");
        expectHint(await invoke(args, options), /XDG_RUNTIME_DIR/, /--root/);
      },
      { both: "has no such command" },
    );

  for (const [command, ...args] of [
    ["completion", "bash"],
    ["doctor"],
    ["features"],
    ["man"],
    ["seccomp", "explain", "--bundle", "BUNDLE", "reboot"],
    ["spec", "--file", "FILE"],
  ]) {
    spec(`${command} without a container, XDG_RUNTIME_DIR not set: works`, CLAUSE, async (sandbox) => {
      const folder = ownFolder(sandbox);
      const { bundle } = sandbox.container((config) => {
        config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [] };
      });
      const places: Readonly<Record<string, string>> = { BUNDLE: bundle, FILE: `${folder}/made.json` };
      const words = args.map((word) => places[word] ?? word);
      const wrapper = userWrapper(sandbox);
      const { stderr } = await invoke([command ?? "", ...words], { directory: sandbox.directory, wrapper });
      // A host may lack what doctor asks for.
      if (command !== "doctor") expect(stderr).toBe("");
      expect(stderr).not.toContain("XDG_RUNTIME_DIR");
    });
  }
}

spec(
  "run in a user namespace, a file is hidden in the host's /proc: error that names it, and doctor says so, too",
  CLAUSE,
  async (sandbox) => {
    const hidden = (path: string, file: string) => [
      ...["unshare", "--mount", "sh", "-c", `mount --bind ${file} ${path}; exec "$@"`, "sh"],
    ];
    const folder = sandbox.path("empty");
    mkdirSync(folder);
    const proc = mappedShell(sandbox, "true");
    sandbox.wrapper = hidden("/proc/keys", "/dev/null");
    expectHint(
      await proc.run(),
      /\/mounts\/0/,
      /would reveal what mounts hide at \/proc\/keys: .*unmask=ALL/,
    );
    const sysfs = mappedShell(sandbox, "true", (config) => {
      config.mounts = config.mounts.filter(({ type }) => type !== "sysfs");
      config.mounts.push({ destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] });
    });
    sandbox.wrapper = hidden("/sys/kernel/mm", folder);
    expectHint(await sysfs.run(), /would reveal what mounts hide at \/sys\/kernel\/mm/);
    expect(await sandbox.traces()).toEqual([]);
    if (!IS_RUNTS) return;
    const { stdout } = await sandbox.invoke(["doctor"], { wrapper: sandbox.wrapper });
    expect(stdout).toMatch(/ ok +new proc +may be mounted/);
    expect(stdout).toMatch(/ missing +new sysfs +refused in a new user namespace: .*\/sys\/kernel\/mm\n/);
    sandbox.wrapper = [];
  },
  { crun: "binds the host's sysfs where a new one is refused" },
);

spec(
  "run in a user namespace, mounts on empty directories of the host's /proc and /sys: works, and doctor says so",
  CLAUSE,
  async (sandbox) => {
    const container = mappedShell(sandbox, "echo ran");
    // Directories that the kernel keeps empty for mounts hide nothing: runc's and crun's hosts have such mounts as well.
    const script =
      'mount -t tmpfs none /proc/sys/fs/binfmt_misc; mount -t tmpfs none /sys/kernel/debug; exec "$@"';
    sandbox.wrapper = ["unshare", "--mount", "sh", "-ec", script, "sh"];
    const { stdout, stderr } = await container.run();
    expect([stdout, stderr]).toEqual(["ran\n", ""]);
    if (IS_RUNTS) {
      const doctor = await sandbox.invoke(["doctor"], { wrapper: sandbox.wrapper });
      expect(doctor.stdout).toMatch(/ ok +new proc +may be mounted/);
      expect(doctor.stdout).toMatch(/ ok +new sysfs +may be mounted/);
    }
    sandbox.wrapper = [];
  },
);
