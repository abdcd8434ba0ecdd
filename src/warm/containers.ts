import type { ConfigInput } from "../spec/config-input.ts";

/** Configs like those of the usual engines. Their properties decide which code has run before the freeze. */

const capabilities = () => [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_NET_BIND_SERVICE",
  "CAP_SETFCAP",
  "CAP_SETGID",
  "CAP_SETPCAP",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
];

const unsafe = () => ["nosuid", "noexec", "nodev"];

/** Files of the host that engines bind-mount. */
export const BOUND_FILES = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"].map(
  (path) => `/var/lib/engine${path}`,
);

/** A network namespace, as engines create it. */
export const NETWORK = "/run/netns/warm";

const usualMounts = (): NonNullable<ConfigInput["mounts"]> => [
  { destination: "/proc", type: "proc", source: "proc", options: unsafe() },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
  },
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: unsafe() },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: [...unsafe(), "mode=1777", "size=65536k"],
  },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: [...unsafe(), "ro"] },
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: [...unsafe(), "relatime", "ro"],
  },
  ...BOUND_FILES.map((source) => ({
    destination: source.slice("/var/lib/engine".length),
    type: "bind",
    source,
    options: ["rbind", "rprivate", "rw"],
  })),
];

const masked = () => ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"];
const readOnly = () => ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

export const usualProcess = (): NonNullable<ConfigInput["process"]> => ({
  terminal: false,
  user: { uid: 0, gid: 0, additionalGids: [10] },
  args: ["sh"],
  env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=warm", "HOME=/"],
  cwd: "/",
  capabilities: { bounding: capabilities(), effective: capabilities(), permitted: capabilities() },
  rlimits: [{ type: "RLIMIT_NOFILE", hard: 1048576, soft: 1048576 }],
  noNewPrivileges: true,
  oomScoreAdj: 100,
});

/** The new namespaces of a container that root creates. */
const OWN = ["pid", "network", "ipc", "uts", "mount", "cgroup"] as const;

/** A config like those of docker, containerd and podman as root. */
export function rootful(name: string): ConfigInput {
  return {
    ociVersion: "1.2.0",
    process: usualProcess(),
    root: { path: "rootfs", readonly: false },
    hostname: "warm",
    mounts: usualMounts(),
    annotations: { "org.opencontainers.image.title": name },
    linux: {
      namespaces: OWN.map((type) => ({ type })),
      cgroupsPath: `/warm/${name}`,
      sysctl: { "net.ipv4.ping_group_range": "0 0" },
      resources: {
        devices: [
          { allow: false, access: "rwm" },
          { allow: true, type: "c", major: 1, minor: 5, access: "rwm" },
        ],
        memory: { limit: 268435456, swap: 536870912 },
        cpu: { shares: 512, quota: 50000, period: 100000 },
        pids: { limit: 2048 },
      },
      maskedPaths: masked(),
      readonlyPaths: readOnly(),
    },
  };
}

/** Like rootful, with an engine's network namespace, all hooks, an AppArmor profile and limits of Kubernetes. */
export function hooked(name: string): ConfigInput {
  const config = rootful(name);
  const hook = { path: "/usr/bin/hook", args: ["hook", "set-up"] };
  const namespaces = OWN.map((type) => (type === "network" ? { type, path: NETWORK } : { type }));
  return {
    ...config,
    process: { ...usualProcess(), apparmorProfile: "docker-default" },
    hooks: {
      prestart: [hook],
      createRuntime: [hook],
      createContainer: [hook],
      startContainer: [hook],
      poststart: [hook],
      poststop: [hook],
    },
    linux: {
      ...config.linux,
      namespaces,
      resources: {
        ...config.linux?.resources,
        hugepageLimits: [{ pageSize: "2MB", limit: 0 }],
        unified: { "memory.oom.group": "1" },
      },
    },
  };
}

/** Like rootful, with a cgroup of systemd. */
export function inScope(name: string): ConfigInput {
  const config = rootful(name);
  return { ...config, linux: { ...config.linux, cgroupsPath: `warm.slice:engine:${name}` } };
}

/** Like rootful, with a terminal and SELinux labels. */
export function withTerminal(name: string): ConfigInput {
  const config = rootful(name);
  const label = "system_u:system_r:container_t:s0:c1,c2";
  return {
    ...config,
    process: { ...usualProcess(), terminal: true, selinuxLabel: label },
    linux: { ...config.linux, mountLabel: "system_u:object_r:container_file_t:s0:c1,c2" },
  };
}

/** Like rootful, with a seccomp profile. */
export function filtered(name: string): ConfigInput {
  const config = rootful(name);
  return {
    ...config,
    linux: {
      ...config.linux,
      seccomp: {
        defaultAction: "SCMP_ACT_ERRNO",
        defaultErrnoRet: 1,
        architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        syscalls: [
          { names: ["read", "write", "openat", "close", "execve", "exit_group"], action: "SCMP_ACT_ALLOW" },
          {
            names: ["personality"],
            action: "SCMP_ACT_ALLOW",
            args: [{ index: 0, value: 0, op: "SCMP_CMP_EQ" }],
          },
        ],
      },
    },
  };
}

/** A config for a user without newuidmap, who can map a single id. */
export function unprivileged(name: string, uid: number): ConfigInput {
  const config = rootless(name);
  const mappings = [{ containerID: 0, hostID: uid, size: 1 }];
  return {
    ...config,
    process: { ...usualProcess(), user: { uid: 0, gid: 0 } },
    linux: { ...config.linux, uidMappings: mappings, gidMappings: mappings },
  };
}

/** A config like that of rootless podman, which calls the runtime inside of its user namespace. */
export function rootless(name: string): ConfigInput {
  const config = rootful(name);
  const mappings = [
    { containerID: 0, hostID: 0, size: 1 },
    { containerID: 1, hostID: 100000, size: 65536 },
  ];
  return {
    ...config,
    linux: {
      ...config.linux,
      namespaces: [...OWN, "user" as const].map((type) => ({ type })),
      uidMappings: mappings,
      gidMappings: mappings,
    },
  };
}
