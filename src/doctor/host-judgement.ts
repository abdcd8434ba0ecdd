import { type Obstacle, obstacleText } from "../container/caller/revealing.ts";
import { LANDLOCK_ANNOTATION } from "../spec/landlock.ts";
import type { Finding } from "./finding.ts";
import type { Host } from "./host.ts";

type Part = Omit<Finding, "area">;

/** Judges a host by what containers need, with a fix for what is missing. */
export function judgeHost(host: Host): Finding[] {
  return [
    ...inArea("kernel", kernel(host)),
    ...inArea("cgroups", cgroups(host)),
    ...inArea("namespaces", namespaces(host)),
    ...inArea("security", security(host)),
    ...inArea("rootless", rootless(host)),
    ...inArea("for some configs", extras(host)),
    ...inArea("speed", [warmStart(host)]),
  ];
}

function inArea(area: string, parts: readonly Part[]): Finding[] {
  return parts.map((part) => ({ area, ...part }));
}

/** Linux 5.14 added MOUNT_ATTR_NOSYMFOLLOW, which `bindAttributes` clears: mount_setattr(2) fails with EINVAL on older kernels. */
const LEAST_KERNEL = [5, 14] as const;

function kernel({
  kernel: release,
  architecture,
  missingCalls,
  isRoot,
  user,
  inUserNamespace,
}: Host): Part[] {
  const [major = 0, minor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  const isNew = major > LEAST_KERNEL[0] || (major === LEAST_KERNEL[0] && minor >= LEAST_KERNEL[1]);
  const upgrade = `boot Linux ${LEAST_KERNEL.join(".")} or later`;
  return [
    isNew
      ? good("Linux", `${release} on ${architecture}`)
      : bad("Linux", `${release} is older than ${LEAST_KERNEL.join(".")}`, upgrade),
    missingCalls.length === 0
      ? good("system calls", "all that runts uses are there")
      : bad(
          "system calls",
          `missing or filtered away: ${missingCalls.join(", ")}`,
          `${upgrade}; inside of a container, allow them in its seccomp profile`,
        ),
    note("caller", `${user}${isRoot && inUserNamespace ? ", root of a user namespace" : ""}`),
  ];
}

/** Controllers, with the properties of linux.resources that need them. */
const CONTROLLERS: readonly (readonly [controller: string, properties: string])[] = [
  ["cpu", "cpu shares and quota"],
  ["cpuset", "cpu.cpus and cpu.mems"],
  ["io", "blockIO"],
  ["memory", "memory"],
  ["pids", "pids"],
  ["hugetlb", "hugepageLimits"],
  ["rdma", "rdma"],
];
const USUAL_CONTROLLERS = ["cpu", "io", "memory", "pids"];

function cgroups(host: Host): Part[] {
  if (host.cgroup !== "unified") {
    const state = host.cgroup === "hybrid" ? "a v1 or hybrid hierarchy" : "nothing";
    return [
      bad(
        "hierarchy",
        `/sys/fs/cgroup is ${state}, and runts needs cgroup v2 there`,
        host.hasSystemd
          ? "boot with systemd.unified_cgroup_hierarchy=1"
          : "mount -t cgroup2 none /sys/fs/cgroup, on a host without v1 hierarchies",
      ),
    ];
  }
  const missing = CONTROLLERS.filter(([controller]) => !host.controllers.includes(controller));
  const usual = missing.filter(([controller]) => USUAL_CONTROLLERS.includes(controller));
  return [
    good("hierarchy", "cgroup v2 at /sys/fs/cgroup"),
    good("controllers", host.controllers.join(" ") || "none"),
    ...missing.map(([controller, properties]) =>
      lacking(
        `${controller} controller`,
        `no limits by ${properties}`,
        usual.some(([name]) => name === controller)
          ? `build it into the kernel, don't disable it (cgroup_disable=), and unmount the v1 hierarchy that holds it`
          : undefined,
      ),
    ),
    deviceRules(host),
    host.hasCgroupKill
      ? good("cgroup.kill", "all processes of a container end at once")
      : lacking("cgroup.kill", "processes are killed one by one", "boot Linux 5.14 or later"),
    host.hasPressure
      ? good("pressure", "`events` reports stalls (PSI)")
      : lacking(
          "pressure",
          "`events` reports no stalls",
          "build the kernel with CONFIG_PSI, boot with psi=1",
        ),
    host.hasSystemd && host.hasSdBus
      ? good("systemd", "runs; --systemd-cgroup works")
      : lacking(
          "systemd",
          host.hasSystemd ? "runs, but libsystemd.so.0 is missing" : "does not run: no --systemd-cgroup",
          host.hasSystemd ? "install libsystemd0" : undefined,
        ),
  ];
}

function deviceRules({ bpfFailure, isRoot }: Host): Part {
  if (bpfFailure === undefined) return good("device rules", "BPF programs can be attached");
  if (bpfFailure === "ENOSYS")
    return bad("device rules", "this kernel has no bpf(2)", "build it with CONFIG_CGROUP_BPF");
  return lacking(
    "device rules",
    "bpf(2) is not permitted, so linux.resources.devices has no effect",
    isRoot ? "give the caller CAP_BPF and CAP_NET_ADMIN" : undefined,
  );
}

const NAMESPACES = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

function namespaces(host: Host): Part[] {
  const { namespaces: kinds, maxUserNamespaces, isRoot } = host;
  const missing = NAMESPACES.filter((kind) => !kinds.includes(kind));
  return [
    missing.length === 0
      ? good("kinds", kinds.join(" "))
      : lacking("kinds", `missing: ${missing.join(" ")}`, "enable them in the kernel"),
    maxUserNamespaces > 0
      ? good("user namespaces", `${maxUserNamespaces} at most`)
      : (isRoot ? lacking : bad)(
          "user namespaces",
          "user.max_user_namespaces is 0",
          "sysctl user.max_user_namespaces=10000",
        ),
    newMount("proc", host.procObstacle),
    newMount("sysfs", host.sysfsObstacle),
  ];
}

/** Rootless containers need it, and those with a user namespace of their own. */
function newMount(type: "proc" | "sysfs", obstacle: Obstacle | undefined): Part {
  const subject = `new ${type}`;
  if (obstacle === undefined) return good(subject, "may be mounted in a user namespace");
  const { reason, fix } = obstacleText(type, obstacle);
  return lacking(subject, `refused in a new user namespace: ${reason}`, fix);
}

function security({ seccompLevel, seccompActions, securityModules, landlock }: Host): Part[] {
  const NOTIFY_LEVEL = 5;
  return [
    seccompLevel === undefined
      ? bad("libseccomp", "libseccomp.so.2 is missing: no linux.seccomp", "install libseccomp2")
      : good("libseccomp", `API level ${seccompLevel}`),
    seccompActions.includes("user_notif") && (seccompLevel ?? 0) >= NOTIFY_LEVEL
      ? good("seccomp notify", "SCMP_ACT_NOTIFY works")
      : lacking("seccomp notify", "no SCMP_ACT_NOTIFY", "boot Linux 5.9 or later, libseccomp 2.5"),
    ...(["apparmor", "selinux"] as const).map((name) => {
      const property = name === "apparmor" ? "process.apparmorProfile" : "process.selinuxLabel";
      return securityModules.includes(name)
        ? good(name, `enabled; ${property} works`)
        : note(name, `not enabled: a config with ${property} is refused`);
    }),
    landlockPart(landlock),
  ];
}

/** Kinds of Landlock's rules, by the first ABI that has them. landlock(7), "VERSIONS" */
const LANDLOCK_KINDS = [
  [1, "files"],
  [4, "TCP ports"],
  [6, "scopes"],
  [7, "flags of its log"],
] as const;

function landlockPart({ abi, errno }: Host["landlock"]): Part {
  if (errno !== undefined) {
    const reason = errno === "EOPNOTSUPP" ? "not enabled at boot (lsm=)" : `not in this kernel (${errno})`;
    return note("landlock", `${reason}: the annotation ${LANDLOCK_ANNOTATION} has no effect, or is refused`);
  }
  const kinds = LANDLOCK_KINDS.flatMap(([first, kind]) => (abi >= first ? [kind] : []));
  return good("landlock", `ABI ${abi}: ${kinds.join(", ")}; the annotation ${LANDLOCK_ANNOTATION} works`);
}

function rootless(host: Host): Part[] {
  if (host.isRoot) return [note("caller", "is root, so that none of this is needed")];
  const { restrictsUserNamespaces: restricted, freeSubordinateId: first } = host;
  const range = `${first}-${first + 65_535}`;
  return [
    restricted === "no"
      ? good("user namespaces", "may be made by everybody")
      : bad(
          "user namespaces",
          `blocked for unprivileged users by ${restricted}`,
          restricted === "AppArmor"
            ? "add an AppArmor profile with `userns,` for runts-engine, or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
            : "sysctl kernel.unprivileged_userns_clone=1",
        ),
    host.idHelpers
      ? good("newuidmap", "found, with newgidmap")
      : lacking("newuidmap", "not found: containers have only one id", "install uidmap (shadow-utils)"),
    host.subordinateIds
      ? good("subordinate ids", "in /etc/subuid and /etc/subgid")
      : lacking(
          "subordinate ids",
          `none for ${host.user}`,
          `usermod --add-subuids ${range} --add-subgids ${range} ${host.user}`,
        ),
    host.hasOwnCgroup
      ? good("own cgroup", "delegated: limits work")
      : lacking(
          "own cgroup",
          "not delegated: no limits, pause and events",
          host.hasSystemd
            ? "systemd-run --user --scope -p Delegate=yes …, or --systemd-cgroup"
            : "chown a cgroup to the user",
        ),
  ];
}

function extras(host: Host): Part[] {
  const has = (name: string) => host.fileSystems.includes(name);
  return [
    has("overlay")
      ? good("overlayfs", "mounts of type overlay")
      : lacking("overlayfs", "not in /proc/filesystems", "modprobe overlay"),
    host.criu === undefined
      ? lacking("criu", "not found: no checkpoint and restore", "install criu")
      : good("criu", `${host.criu}: checkpoint and restore`),
    host.hugepageSizes.length > 0
      ? good("huge pages", host.hugepageSizes.join(" "))
      : note("huge pages", "none: no linux.resources.hugepageLimits"),
    host.hasSwap ? good("swap", "limited by linux.resources.memory.swap") : note("swap", "none on this host"),
    host.hasResctrl
      ? good("resctrl", "linux.intelRdt works")
      : note("resctrl", "this processor or kernel has none: no linux.intelRdt"),
    host.hasNuma ? good("NUMA", "several nodes") : note("NUMA", "one node: memory policies change nothing"),
  ];
}

function warmStart({ coldReason }: Host): Part {
  if (coldReason === undefined) return good("warm start", "from an image written since boot");
  const { text, isOfImage } = coldReason;
  return isOfImage
    ? lacking("warm start", `commands take longer: ${text}`, "runts warm, after each boot")
    : note("warm start", `disabled for this call: ${text}`);
}

function good(subject: string, detail: string): Part {
  return { subject, verdict: "good", detail };
}

function note(subject: string, detail: string): Part {
  return { subject, verdict: "note", detail };
}

function lacking(subject: string, detail: string, fix?: string): Part {
  return { subject, verdict: "lacking", detail, ...(fix !== undefined && { fix }) };
}

function bad(subject: string, detail: string, fix?: string): Part {
  return { subject, verdict: "bad", detail, ...(fix !== undefined && { fix }) };
}
