import { type Config, defaultConfig, type Linux } from "../harness/config.ts";

/** The bundles that every command is tested with. Each property of the rich one adds operations that can fail. */

export const ID = "box";
export const CONSOLE = "/tmp/console.sock";
const LISTENER = "/tmp/listener.sock";

/** Prints all that a container's set-up does for its program. The output is the same in each run. */
export const PROBE = `
grep -E '^(Uid|Gid|Groups|Umask|NoNewPrivs|Seccomp|Cap|SigBlk|SigIgn|SigCgt|Cpus_allowed)' /proc/self/status
cut -d ' ' -f 4- /proc/self/mountinfo | sed 's/\\(master\\|shared\\):[0-9]*/\\1/'
stat -c '%N' /proc/$$/fd/* /proc/self/ns/* 2>/dev/null
exec 2>/dev/null
stat -c '%n %F %a %t:%T' /dev/*
stat -c '%n %u %g' /dev/walk /dev/pipe /dev/pts/*
cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj /proc/self/uid_map /proc/self/timens_offsets /sys/class/net/*/flags
cat /proc/sys/net/ipv4/ip_forward /etc/passwd /shared/file /proc/sys/kernel/domainname
hostname; pwd; env; id; umask; stty size
echo x > /file; chmod 777 /tmp; ln -sf link /dev/shm/link && echo linked
echo done
exit 0
`;

const MAPPINGS = [{ containerID: 0, hostID: 100_000, size: 65_536 }];

export interface Bundle {
  readonly name: "minimal" | "user namespace" | "rich";
  readonly config: Config;
}

/** `marker` makes the device program unlike those of other tests. */
export function bundles(marker: number): Bundle[] {
  const all: readonly Bundle[] = [
    { name: "minimal", config: minimal() },
    { name: "user namespace", config: mapped() },
    { name: "rich", config: rich() },
  ];
  return all.map(({ name, config }) => {
    config.process.args = ["sh", "/probe"];
    config.linux.cgroupsPath = `/${ID}`;
    const { devices } = { devices: [], ...config.linux.resources };
    const marked = { allow: true, type: "c", major: 4000, minor: marker, access: "r" };
    config.linux.resources = { ...config.linux.resources, devices: [...devices, marked] };
    return { name, config };
  });
}

function minimal(): Config {
  const config = defaultConfig();
  const { maskedPaths: _masked, readonlyPaths: _readonly, ...linux } = config.linux;
  const { capabilities: _capabilities, rlimits: _rlimits, ...process } = config.process;
  const { hostname: _hostname, ...rest } = config;
  return {
    ...rest,
    process,
    root: { path: "/rootfs" },
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
    linux: { ...linux, namespaces: ["pid", "mount"].map((type) => ({ type })) },
  };
}

function mapped(): Config {
  const config = defaultConfig();
  config.root.path = "/rootfs-mapped";
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = MAPPINGS;
  config.linux.gidMappings = MAPPINGS;
  config.mounts.push(
    { destination: "/shared", type: "bind", source: "/tmp/closed/data", options: ["rbind"] },
    { destination: "/again", type: "bind", source: "/rootfs-mapped/shared", options: ["rbind", "ro"] },
  );
  // The host has no node at this path to bind instead: if mknod(2) fails, so does the container.
  config.linux.devices = [
    { type: "c", path: "/dev/made", major: 1, minor: 5, fileMode: 0o640, uid: 7, gid: 8 },
  ];
  config.linux.seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    listenerPath: LISTENER,
    listenerMetadata: "walk",
    // A call that the probe doesn't make, since nobody answers the notification.
    syscalls: [{ names: ["acct"], action: "SCMP_ACT_NOTIFY" }],
  };
  return config;
}

/** Denies the symbolic link that the probe tries to make. */
const LANDLOCK = {
  handledAccess: { handledAccessFS: ["make_sym"], handledAccessNetwork: ["bind"], scoped: ["signal"] },
  rules: {
    pathBeneath: [{ allowedAccess: ["make_sym"], paths: ["/home"] }],
    networkPort: [{ allowedAccess: ["bind"], ports: [80] }],
  },
  enableBestEffort: false,
};

function rich(): Config {
  const config = defaultConfig();
  config.root = { path: "/rootfs", readonly: true };
  const hook = { path: "/bin/true", args: ["true", "hook"], env: ["A=b"], timeout: 10 };
  config.hooks = {
    prestart: [hook],
    createRuntime: [hook],
    createContainer: [hook],
    startContainer: [hook],
    poststart: [hook],
    poststop: [hook],
  };
  config.process = {
    ...config.process,
    terminal: true,
    consoleSize: { height: 24, width: 80 },
    user: { uid: 1000, gid: 1000, umask: 0o27, additionalGids: [5, 6] },
    oomScoreAdj: 100,
    rlimits: [
      { type: "RLIMIT_NOFILE", hard: 1024, soft: 512 },
      { type: "RLIMIT_CORE", hard: 0, soft: 0 },
    ],
    ioPriority: { class: "IOPRIO_CLASS_BE", priority: 5 },
    scheduler: { policy: "SCHED_BATCH", nice: 3 },
  };
  config.domainname = "example.org";
  config.annotations = { "org.example.walk": "yes", "run.runts.landlock": JSON.stringify(LANDLOCK) };
  config.mounts.push(
    { destination: "/shared", type: "bind", source: "/tmp/shared", options: ["rbind", "ro", "nosuid"] },
    {
      destination: "/home",
      source: "/tmp/shared",
      options: ["bind", "idmap"],
      uidMappings: MAPPINGS,
      gidMappings: MAPPINGS,
    },
    { destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "mode=755", "size=1m"] },
  );
  config.linux = richLinux(config.linux);
  return config;
}

function richLinux(linux: Linux): Linux {
  return {
    ...linux,
    namespaces: [...linux.namespaces, { type: "time" }],
    timeOffsets: { boottime: { secs: 100 } },
    sysctl: { "net.ipv4.ip_forward": "1" },
    devices: [
      { type: "c", path: "/dev/walk", major: 10, minor: 229, fileMode: 0o600, uid: 0, gid: 0 },
      { type: "p", path: "/dev/pipe", fileMode: 0o600 },
    ],
    resources: {
      devices: [
        { allow: false, access: "rwm" },
        { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
      ],
      hugepageLimits: [{ pageSize: "2MB", limit: 4_194_304 }],
    },
    seccomp: {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: process.arch === "arm64" ? ["SCMP_ARCH_AARCH64"] : ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
      syscalls: [
        { names: ["chmod", "fchmod", "fchmodat", "fchmodat2"], action: "SCMP_ACT_ERRNO", errnoRet: 1 },
        {
          names: ["personality"],
          action: "SCMP_ACT_ERRNO",
          args: [{ index: 0, value: 8, op: "SCMP_CMP_EQ" }],
        },
      ],
    },
  };
}
