import { chmodSync, existsSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Config, Hook } from "../harness/config.ts";
import { giveToMappedRoot, mapIds } from "../harness/host/user-namespace.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** The credentials and limits of hooks that run in the container's namespaces. */

const CLAUSE = "config.md, POSIX-platform Hooks";

/** Prints the attributes of a process that it inherits or that its parent can set. */
const PRINT_ATTRIBUTES = [
  "grep -E '^(Umask|Uid|Gid|Groups|Sig(Blk|Ign)|Cap...|NoNewPrivs|Seccomp|Seccomp_filters|Cpus_allowed):' /proc/self/status",
  "cat /proc/self/limits /proc/self/oom_score_adj /proc/self/cgroup /proc/self/personality",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's
  'set -- $(cat /proc/self/stat); echo "nice ${19} policy ${41}"',
  "pwd",
  "for link in root ns/mnt ns/pid ns/user ns/net ns/ipc ns/uts ns/cgroup; do readlink /proc/self/$link; done",
].join("; ");

function hook(script: string): Hook {
  return { path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"] };
}

function asUser(config: Config): void {
  config.process.user = { uid: 1000, gid: 1001, additionalGids: [5, 7], umask: 0o27 };
  config.process.cwd = "/var";
  config.process.oomScoreAdj = 321;
  config.process.rlimits = [
    { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
    { type: "RLIMIT_CORE", soft: 0, hard: 0 },
  ];
}

function withFilter(config: Config): void {
  config.linux.seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["reboot"], action: "SCMP_ACT_ERRNO" }],
  };
}

/** The attributes that the hook printed, and those that the process printed. */
async function attributes(sandbox: Sandbox, mutate: (config: Config) => void): Promise<[string, string]> {
  const container = sandbox.shell(`(${PRINT_ATTRIBUTES}) 2>&1; echo end; exec sleep 1000`, (config) => {
    config.root.readonly = false;
    mutate(config);
    config.hooks = { startContainer: [hook(`(${PRINT_ATTRIBUTES}) > /tmp/hook 2>&1`)] };
  });
  if (container.config.linux.uidMappings !== undefined) giveToMappedRoot(container);
  sandbox.wrapper = ["setpriv", "--groups=0,42", "--"];
  await container.started();
  await expect.poll(() => container.printed()).toMatch(/end$/);
  return [container.readFile("tmp/hook"), container.printed().replace(/end$/, "")];
}

const deviations = byCase({
  runc: { reason: "1.1 is older than these properties, and ignores them", before: "1.3" },
  cases: ["with a scheduler"],
});

for (const [situation, mutate, expected] of [
  ["as root", () => undefined, /^CapEff:\t[0-9a-f]*[1-9a-f][0-9a-f]*\nCapBnd/m],
  ["as a user", asUser, /^CapEff:\t0+\n/m],
  [
    "as a user in a user namespace",
    (config: Config) => {
      asUser(config);
      mapIds(config);
    },
    /^Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\nGroups:\t5 7 \n/m,
  ],
  ["as root of a user namespace", mapIds, /^Groups:\t ?\n/m],
  ["with a seccomp filter", withFilter, /^NoNewPrivs:\t1\nSeccomp:\t2\n/m],
  [
    "with a seccomp filter and without noNewPrivileges, as a user",
    (config: Config) => {
      asUser(config);
      withFilter(config);
      config.process.noNewPrivileges = false;
    },
    /^NoNewPrivs:\t0\nSeccomp:\t2\n/m,
  ],
  [
    "with ambient capabilities, as a user",
    (config: Config) => {
      const kill = ["CAP_KILL"];
      const capabilities = { bounding: kill, effective: kill, permitted: kill, inheritable: kill };
      asUser(config);
      config.process.capabilities = { ...capabilities, ambient: kill };
    },
    /^CapEff:\t0+20\nCapBnd:\t0+20\nCapAmb:\t0+20\n/m,
  ],
  [
    "with a scheduler",
    (config: Config) => {
      config.process.scheduler = { policy: "SCHED_OTHER", nice: 5 };
    },
    /^nice 5 policy 0$/m,
  ],
] as const) {
  spec(
    `startContainer hook, ${situation}: the same attributes as the process`,
    `${CLAUSE}, StartContainer: executed in the container namespace; as runc and crun`,
    async (sandbox) => {
      const [ofHook, ofProcess] = await attributes(sandbox, mutate);
      expect(ofHook.trim()).toBe(ofProcess.trim());
      expect(ofHook).toMatch(expected);
    },
    deviations(situation),
  );
}

spec(
  "startContainer hook without a mount namespace: the container's program, run in the container's root",
  `${CLAUSE}, StartContainer: the path resolves in the container namespace`,
  async (sandbox) => {
    const file = `/${sandbox.tag}-of-hook`;
    sandbox.atEnd(() => rmSync(file, { force: true }));
    const container = sandbox.shell("echo end; exec sleep 1000", (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "mount");
      config.linux.maskedPaths = [];
      config.linux.readonlyPaths = [];
      config.root.readonly = false;
      config.hooks = { startContainer: [{ path: "/bin/busybox", args: ["touch", file] }] };
    });
    await container.started();
    await expect.poll(() => container.printed()).toBe("end");
    expect(container.readFile(file)).toBe("");
    expect(existsSync(file)).toBe(false);
  },
  {
    both: "without a mount namespace, mounts are made in the caller's, and other steps that need one happen there or not at all",
  },
);

spec(
  "startContainer hook whose execve the filter denies: error that names the hook, the container ends",
  "runtime.md, Lifecycle step 7: MUST error, stop the container",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000", (config) => {
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["execve", "execveat"], action: "SCMP_ACT_ERRNO", errnoRet: 1 }],
      };
      config.hooks = { startContainer: [hook("true")] };
    });
    await container.created();
    expectRefusal(await container.start(), inOurWords("/hooks/startContainer/0"));
    // runts has destroyed the container by now; a peer leaves that to delete.
    if ((await container.stateCommand()).code === 0) await container.until("stopped");
    expect((await container.delete("--force")).code).toBe(0);
  },
  { both: "start waits neither for startContainer hooks nor for the execve" },
);

spec(
  "createContainer hook in a user namespace: runs as its root, without the caller's groups",
  `${CLAUSE}, CreateContainer: executed in the container namespace; as runc and crun`,
  async (sandbox) => {
    const out = sandbox.path("out");
    // The container's root, an unprivileged user of the host, has to write to it.
    writeFileSync(out, "");
    chmodSync(out, 0o666);
    const look = `grep -E '^(Uid|Gid|Groups):' /proc/self/status > ${out}; readlink /proc/self/ns/user >> ${out}`;
    const container = sandbox.shell("sleep 1000", (config) => {
      mapIds(config);
      config.hooks = { createContainer: [hook(look)] };
    });
    giveToMappedRoot(container);
    sandbox.wrapper = ["setpriv", "--groups=0,42", "--"];
    await container.created();
    const { pid } = await container.state();
    // procfs shows ids as the reader's user namespace maps them.
    const ids = "\t0\t0\t0\t0\n";
    const namespace = readlinkSync(`/proc/${pid}/ns/user`);
    expect(readFileSync(out, "utf8")).toBe(`Uid:${ids}Gid:${ids}Groups:\t \n${namespace}\n`);
  },
);

spec(
  "createContainer hook: runs in the bundle, with the caller's limits and umask",
  "promise: a program of the host keeps the caller's limits",
  async (sandbox) => {
    const out = sandbox.path("out");
    const container = sandbox.shell("sleep 1000", (config) => {
      asUser(config);
      const script = "ulimit -n; cat /proc/self/oom_score_adj; umask; pwd";
      config.hooks = { createContainer: [hook(`(${script}) > ${out}`)] };
    });
    sandbox.wrapper = ["sh", "-c", 'ulimit -S -n 1000; umask 077; exec "$@"', "sh"];
    await container.created();
    const score = readFileSync("/proc/self/oom_score_adj", "utf8").trim();
    expect(readFileSync(out, "utf8")).toBe(`1000\n${score}\n0077\n${container.bundle}\n`);
  },
  {
    both: "createContainer hooks have rlimits and oom_score_adj of the process; runc's run in the rootfs, crun's with umask 0",
  },
);

if (IS_RUNTS) {
  spec(
    "startContainer hook whose program is missing: error that names the hook, not the process",
    "promise: a failed hook can be understood from the error",
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000", (config) => {
        asUser(config);
        config.hooks = { startContainer: [{ path: "/no/hook", args: ["sh"] }] };
      });
      await container.created();
      expectRefusal(
        await container.start(),
        /hooks\/startContainer\/0: error running startContainer hook \/no\/hook: no such file or directory/,
      );
      await container.delete("--force");
    },
  );
}
