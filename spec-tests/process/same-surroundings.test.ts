import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { expect, type TestContext, test } from "vitest";
import { type Config, DEFAULT_PATH, setNamespace } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { recordedNames, useRecorded } from "../harness/engines/recorded.ts";
import { running } from "../harness/exec.ts";
import { hostControllers } from "../harness/host/host-controllers.ts";
import {
  differences,
  EXIT_CODE,
  type LookOptions,
  SHOW_SURROUNDINGS,
  surroundingsUnder,
} from "../harness/host/surroundings.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { giveRootfsTo } from "../harness/rootfs.ts";
import { IS_RUNTS, RUNTIME, which } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "the program must not notice which runtime started it";
const PEERS = ["crun", "runc"] as const;
const BASE = 100_000;

interface Bundle {
  readonly name: string;
  readonly mutate?: (config: Config) => void;
  readonly prepare?: (sandbox: Sandbox, container: Container) => Promise<void> | void;
  readonly look?: LookOptions;
}

const ALL_CAPABILITIES = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE " +
  "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN " +
  "SYS_BOOT SYS_NICE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN " +
  "SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

const BUNDLES: readonly Bundle[] = [
  { name: "the default" },
  {
    name: "a user with groups, rlimits and umask",
    mutate: ({ process }) => {
      process.user = { uid: 1000, gid: 1001, additionalGids: [5, 2000], umask: 0o27 };
      process.cwd = "/home/alice";
      process.rlimits = [
        { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
        { type: "RLIMIT_CORE", soft: 0, hard: 0 },
        { type: "RLIMIT_STACK", soft: 1 << 20, hard: 1 << 23 },
      ];
      process.oomScoreAdj = 100;
      process.noNewPrivileges = false;
    },
  },
  {
    name: "a user namespace",
    mutate: ({ linux }) => {
      linux.namespaces.push({ type: "user" });
      linux.uidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
      linux.gidMappings = [{ containerID: 0, hostID: BASE, size: 65_536 }];
    },
    prepare: (_sandbox, { rootfs }) => giveRootfsTo(rootfs, { uid: BASE, gid: BASE }),
  },
  {
    name: "no namespaces but mount",
    mutate: (config) => {
      config.linux.namespaces = [{ type: "mount" }];
      delete config.hostname;
      config.mounts = config.mounts.filter(({ type }) => type !== "sysfs" && type !== "mqueue");
    },
  },
  {
    name: "a terminal",
    mutate: ({ process }) => {
      process.terminal = true;
      process.consoleSize = { height: 31, width: 97 };
    },
    look: { terminal: true },
  },
  {
    name: "a read-only root with many mounts",
    mutate: ({ root, mounts }) => {
      root.readonly = true;
      mounts.push(
        { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=1777", "size=1m"] },
        { destination: "/mnt", type: "bind", source: "/usr/share", options: ["rbind", "ro", "rprivate"] },
        { destination: "/etc/hosts", type: "bind", source: "/etc/hosts", options: ["bind", "ro", "noexec"] },
        { destination: "/var/new/deep", type: "tmpfs", source: "scratch", options: ["ro"] },
        { destination: "/run", type: "tmpfs", source: "run", options: ["noatime", "nodev"] },
      );
    },
  },
  {
    name: "privileged",
    mutate: (config) => {
      const sets = { bounding: ALL_CAPABILITIES, effective: ALL_CAPABILITIES, permitted: ALL_CAPABILITIES };
      config.process.capabilities = { ...sets, inheritable: ALL_CAPABILITIES, ambient: ALL_CAPABILITIES };
      config.process.noNewPrivileges = false;
      config.linux.maskedPaths = [];
      config.linux.readonlyPaths = [];
      config.linux.resources = { devices: [{ allow: true, access: "rwm" }] };
      config.root.readonly = false;
      config.mounts = config.mounts.map((mount) =>
        mount.type === "sysfs" ? { ...mount, options: ["nosuid", "noexec", "nodev", "rw"] } : mount,
      );
    },
  },
  {
    name: "a seccomp filter",
    mutate: (config) => {
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["kexec_load", "swapon"], action: "SCMP_ACT_ERRNO" }],
      };
    },
  },
  {
    name: "a seccomp filter for a user without noNewPrivileges",
    mutate: (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
      config.process.noNewPrivileges = false;
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["kexec_load", "swapon"], action: "SCMP_ACT_ERRNO" }],
      };
    },
  },
  {
    name: "a joined network namespace",
    prepare: async (sandbox, container) => {
      const other = await running(sandbox);
      const path = `/proc/${(await other.state()).pid}/ns/net`;
      setNamespace(container.config, "network", { type: "network", path });
      container.config.linux.cgroupsPath = `/${container.id}/inner`;
      mkdirSync(`/sys/fs/cgroup/${container.id}`);
      sandbox.atEnd(() => rmdirSync(`/sys/fs/cgroup/${container.id}`));
      container.writeConfig();
    },
  },
  {
    name: "preserved and odd descriptors",
    look: {
      flags: ["--preserve-fds", "2"],
      wrapper: [
        "bash",
        "-c",
        'trap "" HUP USR1; exec 3</etc/passwd 4>>/dev/null 5</ 8<>/dev/zero 19</proc/self; exec "$@"',
        "bash",
      ],
    },
  },
  {
    name: "the host's pid namespace",
    mutate: (config) => setNamespace(config, "pid", undefined),
  },
  {
    name: "odd environment and no cgroup namespace",
    mutate: (config) => {
      setNamespace(config, "cgroup", undefined);
      config.process.env = [DEFAULT_PATH, "A=1", "A=2", "EMPTY=", "HOME=/home/alice", "LANG=C"];
      config.linux.devices = [
        { type: "c", path: "/dev/fuse", major: 10, minor: 229, fileMode: 0o640, uid: 1, gid: 2 },
      ];
    },
  },
];

interface Difference {
  readonly reason: string;
  readonly peer?: (typeof PEERS)[number];
  /** Matches a line of the comparison, with its + or -. */
  readonly lines: RegExp;
  /** Whether it occurs: "sometimes" where that depends on the moment. */
  readonly occurs?: boolean | "sometimes";
}

const DIFFERENCES: readonly Difference[] = [
  {
    reason:
      "masked paths: runts binds a verified /dev/null of the host and one empty tmpfs with all flags, each peer something else",
    lines:
      /^[+-]mountinfo (\/null|\/) (\/proc\/(?!bus|fs|irq|sys\b)|\/sys\/(?!fs\/cgroup))\S+ r[ow],.* - (tmpfs|devtmpfs) /,
  },
  {
    reason:
      "the superblock of a read-only sysfs is read-only under runts and runc, the mount alone under crun",
    peer: "crun",
    lines: /^[+-]mountinfo \/ \/sys ro,\S+ - sysfs sysfs r[ow]$/,
  },
  {
    reason: "crun names the source of the cgroup mount cgroup2, whatever the config says",
    peer: "crun",
    lines: /^[+-]mountinfo \/ \/sys\/fs\/cgroup r[ow],\S+ - cgroup2 cgroup2? rw$/,
  },
  {
    reason: "without a cgroup namespace runts binds the host's mount, whose source the host has chosen",
    peer: "runc",
    lines: /^[+-]mountinfo \/ \/sys\/fs\/cgroup ro,\S+ - cgroup2 cgroup2? rw$/,
  },
  {
    reason: "run of runc puts pipes between its caller and the program",
    peer: "runc",
    lines: /^[+-](fdinfo\/[012] flags \d+|fd l\S+ [012] -> (\S+|pipe:\[N\]))$/,
  },
  {
    reason: "crun makes the link /dev/core even without a /proc/kcore",
    peer: "crun",
    lines: /^-stat \/dev\/core symbolic link /,
    occurs: !existsSync("/proc/kcore"),
  },
  {
    reason:
      "in a user namespace runts binds devices read-only with nosuid and noexec, crun with nosuid and noexec, runc with no flag",
    lines: /^[+-]mountinfo \/(\w+) \/dev\/\1 r[ow],(nosuid,noexec,)?relatime - devtmpfs /,
  },
  {
    reason: "crun binds a terminal to /dev/console without the flags of its devpts",
    peer: "crun",
    lines: /^[+-]mountinfo \/0 \/dev\/console rw,(nosuid,noexec,)?relatime - devpts /,
  },
  {
    reason:
      "the root of a tmpfs without mode gets its permissions by chmod under runts, by an option under the peers: the same bits",
    lines: /^[+-]mountinfo \/ \S+ r[ow],\S+ - tmpfs \S+ r[ow](,size=\d+k)?(,mode=755)?$/,
  },
  {
    reason: "runc mounts mqueue while it has the group of the host's root in it",
    peer: "runc",
    lines: /^[+-]stat \/dev\/mqueue directory 1777 /,
  },
  {
    reason:
      "runts adds an unpredictable number to the name of its session keyring, crun uses the id alone; others see a keyring until the kernel collects it",
    lines: /^[+-]I--Q--- N perm 3f1[3b]0000 N N keyring (_ses\.)?ID(\.N)?: empty/,
    occurs: "sometimes",
  },
  {
    reason: "crun keeps an empty HOME; runts and runc take that of /etc/passwd",
    peer: "crun",
    lines: /^[+-]environ HOME=(\/root)?$/,
  },
  {
    reason: "crun requires the io controller for an empty blockIO, and doesn't run the container",
    peer: "crun",
    lines: /^exit 1: controller `io` is not available/,
    occurs: !hostControllers().includes("io"),
  },
];

const used = new Set<Difference>();
let compared = 0;

async function compare(
  sandbox: Sandbox,
  container: Container,
  look: LookOptions,
  context: TestContext,
): Promise<void> {
  if (!IS_RUNTS) context.skip("compares runts with its peers");
  const peers = PEERS.filter((name) => which(name) !== undefined);
  if (peers.length === 0) context.skip("neither crun nor runc is installed");
  // Otherwise the first runtime makes the mount points and the others find them, and the mode of a tmpfs depends on that.
  const config = parseObject(readFileSync(join(container.bundle, "config.json"), "utf8"));
  for (const mount of Array.isArray(config.mounts) ? config.mounts : []) {
    const { destination, type } = asObject(mount);
    if (type === "tmpfs") mkdirSync(join(container.rootfs, String(destination)), { recursive: true });
  }
  const own = await surroundingsUnder(RUNTIME, sandbox, container, look);
  expect({ code: own.code, stderr: own.stderr }).toEqual({ code: EXIT_CODE, stderr: "" });
  const unexplained: string[] = [];
  for (const peer of peers) {
    const theirs = await surroundingsUnder(which(peer) ?? "", sandbox, container, look);
    const found =
      theirs.code === EXIT_CODE ? differences(own, theirs) : [`exit ${theirs.code}: ${theirs.stderr.trim()}`];
    for (const line of found) {
      const known = DIFFERENCES.find((entry) => (entry.peer ?? peer) === peer && entry.lines.test(line));
      if (known === undefined) unexplained.push(`${peer}: ${line}`);
      else used.add(known);
    }
  }
  compared += 1;
  expect(unexplained).toEqual([]);
}

for (const { name, mutate, prepare, look } of BUNDLES) {
  spec(`run, ${name}: the same surroundings as under the peers`, CLAUSE, async (sandbox, context) => {
    const container = sandbox.shell(SHOW_SURROUNDINGS, mutate);
    await prepare?.(sandbox, container);
    await compare(sandbox, container, look ?? {}, context);
  });
}

for (const name of recordedNames()) {
  spec(`run, ${name}: the same surroundings as under the peers`, CLAUSE, async (sandbox, context) => {
    const container = sandbox.container();
    const { terminal } = useRecorded(sandbox, container, name, SHOW_SURROUNDINGS);
    await compare(sandbox, container, { terminal }, context);
  });
}

test("every difference that is listed still occurs", (context) => {
  if (compared < BUNDLES.length + recordedNames().length) context.skip("not all bundles were compared");
  if (PEERS.some((name) => which(name) === undefined)) context.skip("crun or runc is not installed");
  const gone = DIFFERENCES.filter((entry) => (entry.occurs ?? true) === true && !used.has(entry));
  expect(gone.map(({ reason }) => reason).join("\n")).toBe("");
});
