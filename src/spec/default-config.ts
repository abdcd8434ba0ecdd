import { specVersion } from "../version.ts";
import type { ConfigInput } from "./config-input.ts";
import type { NamespaceType } from "./types.ts";

export interface DefaultConfigOptions {
  /** The caller's ids, if the config is for a caller without root privileges. */
  readonly rootless?: { readonly uid: number; readonly gid: number };
}

type DefaultMount = DefaultConfig["mounts"][number];

/** A config with the optional properties that the default config always has. */
export type DefaultConfig = ConfigInput & Required<Pick<ConfigInput, "process" | "mounts" | "linux">>;

/** The config.json that `spec` writes: that of `runc spec` on a host with cgroup v2 only. */
export function defaultConfig({ rootless }: DefaultConfigOptions = {}): DefaultConfig {
  return {
    ociVersion: specVersion,
    process: defaultProcess(),
    root: { path: "rootfs", readonly: true },
    hostname: "runts",
    mounts: rootless === undefined ? defaultMounts() : rootlessMounts(),
    linux: {
      ...(rootless === undefined
        ? { resources: { devices: [{ allow: false, access: "rwm" }] } }
        : {
            uidMappings: [{ containerID: 0, hostID: rootless.uid, size: 1 }],
            gidMappings: [{ containerID: 0, hostID: rootless.gid, size: 1 }],
          }),
      namespaces: namespaceTypes(rootless !== undefined).map((type) => ({ type })),
      maskedPaths: [
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/sys/firmware",
        "/proc/scsi",
      ],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

function defaultProcess(): DefaultConfig["process"] {
  const capabilities = () => ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
  return {
    terminal: true,
    user: { uid: 0, gid: 0 },
    args: ["sh"],
    env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
    cwd: "/",
    capabilities: { bounding: capabilities(), effective: capabilities(), permitted: capabilities() },
    rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
    noNewPrivileges: true,
  };
}

/** Without privileges a new network namespace can't be configured, so the container keeps the caller's. */
function namespaceTypes(rootless: boolean): readonly NamespaceType[] {
  return rootless
    ? ["pid", "ipc", "uts", "mount", "cgroup", "user"]
    : ["pid", "network", "ipc", "uts", "mount", "cgroup"];
}

function defaultMounts(): DefaultMount[] {
  const unsafe = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc" },
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
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: [...unsafe, "mode=1777", "size=65536k"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: unsafe },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...unsafe, "ro"] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: [...unsafe, "relatime", "ro"],
    },
  ];
}

/**
 * Mounting sysfs requires that the container's user namespace owns the network namespace (user_namespaces(7)), so /sys is a bind mount.
 * An unmapped group id (gid=5, tty) would make the mount of devpts fail, so it is left out.
 */
function rootlessMounts(): DefaultMount[] {
  return defaultMounts().map((mount) => {
    if (mount.destination === "/sys") {
      const options = ["rbind", "nosuid", "noexec", "nodev", "ro"];
      return { destination: "/sys", type: "none", source: "/sys", options };
    }
    const options = mount.options?.filter((option) => !/^[ug]id=/.test(option));
    return options === undefined ? mount : { ...mount, options };
  });
}
