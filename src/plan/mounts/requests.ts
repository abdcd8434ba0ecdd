import { absolutePath, basename, dirname } from "../../../bindings/linux/paths.ts";
import type { Register } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import type { Mount } from "../../spec/types.ts";
import { type HostFacts, hasNamespace, type InitPlan, namespacesOf } from "../init-plan.ts";
import { contextOption } from "../process/labels.ts";
import { cleanPath, isAtOrBelow } from "../rootfs-paths.ts";
import { byteLength, MAX_DATA, needsLegacyMount } from "./data.ts";
import { findInnerSources } from "./inner-sources.ts";
import { mountData, refusesSymlinks } from "./new-mount.ts";
import { type MountOptions, parseMountOptions } from "./options.ts";
import { checkLinkOptions } from "./symlinks.ts";

/** One parsed entry of `mounts`. */
export interface MountRequest {
  readonly mount: Mount;
  readonly pointer: string;
  /** Clean absolute path in the container. */
  readonly destination: string;
  readonly options: MountOptions;
  /** Absolute source of a bind mount. */
  readonly source: string;
  /** Target of the symbolic link to make instead of a mount (option copy-symlink). */
  readonly link: string | undefined;
  /** Whether the source holds the rootfs: a copy made after the container's mounts would contain them. */
  readonly holdsRootfs: boolean;
  /** Path in the container of a source that an earlier mount covers or lies below: it can be opened only after that mount. */
  inner?: string;
  /** The opened source of a bind mount, or a detached copy of it if `isCopy`. */
  opened?: Register;
  isCopy?: boolean;
  /** Descriptor of the user namespace whose mappings a new file system gets. */
  mappings?: Register;
}

/** Always a symbolic link to the ptmx of the container's own devpts. config-linux.md, Default Devices */
export const PTMX = "/dev/ptmx";

/**
 * Parses and checks the entries of `mounts`. `list` is the JSON pointer of the list. Throws a RuntsError with the pointer of an entry that
 * can't be mounted.
 */
export function mountRequests(plan: Pick<InitPlan, "config" | "facts">, list = "/mounts"): MountRequest[] {
  const requests = (plan.config.mounts ?? []).map((mount, index) => {
    const pointer = `${list}/${index}`;
    const options = parseMountOptions(mount.options ?? [], mount.type);
    const given = mount.source ?? "";
    const source =
      options.bind && !given.startsWith("/") ? absolutePath(`${plan.facts.bundle}/${given}`) : given;
    const link = options.copySymlink && options.bind ? plan.facts.linkTarget(source, pointer) : undefined;
    const request: MountRequest = {
      mount,
      pointer,
      destination: destinationOf(mount, options.destinationNoFollow || link !== undefined, plan.facts),
      options,
      source,
      link,
      holdsRootfs: isAtOrBelow(plan.facts.rootfs, cleanPath(source)),
    };
    checkRequest(request, plan);
    checkLinkOptions(request);
    checkData(request, plan);
    return withHierarchy(request, plan);
  });
  const kept =
    requests.some(isAtPtmx) && !devIsBound(requests) ? withoutPtmx(requests, plan.facts) : requests;
  findInnerSources(kept, plan);
  return kept;
}

function isAtPtmx({ mount }: MountRequest): boolean {
  return cleanPath(mount.destination) === PTMX;
}

/** Leaves out mounts on /dev/ptmx: the host's may belong to the host's devpts, and would then open terminals of the host. */
function withoutPtmx(requests: readonly MountRequest[], { warn }: HostFacts): MountRequest[] {
  return requests.filter((request) => {
    if (!isAtPtmx(request)) return true;
    warn(`${request.pointer}: left out, since ${PTMX} is a link to the ptmx of the container's own devpts`);
    return false;
  });
}

/** Whether /dev is a bind mount. Then it is the host's or filled already, and runts makes nothing in it. */
export function devIsBound(requests: readonly MountRequest[]): boolean {
  return requests.some(({ destination, options }) => destination === "/dev" && options.bind);
}

/**
 * Without a cgroup namespace, turns a cgroup mount into a bind mount of the host's whole hierarchy, since the paths of /proc/self/cgroup then
 * start at the root of the hierarchy: cgroup_namespaces(7). But not if the container has no cgroup of its own: as root of its user
 * namespace it could remount the hierarchy rw and write to the cgroups of an unprivileged caller (CVE-2023-25809).
 *
 * A new mount of cgroup2 in the initial cgroup namespace would change the options of the whole hierarchy (cgroup_reconfigure in the kernel),
 * and would wait for an RCU grace period, some ten milliseconds.
 */
function withHierarchy(
  request: MountRequest,
  { config, facts }: Pick<InitPlan, "config" | "facts">,
): MountRequest {
  const { mount, options, pointer } = request;
  if (!isCgroupMount(mount) || options.bind || options.remount) return request;
  if (facts.cgroup === undefined || hasNamespace(namespacesOf(config), "cgroup")) return request;
  const source = facts.cgroupHierarchy(pointer);
  return { ...request, source, options: { ...options, bind: true, superblockFlags: [], data: [] } };
}

export function isCgroupMount({ type }: Mount): boolean {
  return type === "cgroup" || type === "cgroup2";
}

/** The clean path to mount on. With `noFollow`, a symbolic link as the last component is kept. */
function destinationOf({ type, destination }: Mount, noFollow: boolean, facts: HostFacts): string {
  const path = cleanPath(destination);
  if (refusesSymlinks(type ?? "")) return path;
  if (!noFollow || path === "/") return facts.followDanglingLinks(path);
  return cleanPath(`${facts.followDanglingLinks(dirname(path))}/${basename(path)}`);
}

/** Files below /proc that a mount may cover, for lxcfs and the like. A mount anywhere else below /proc could fake procfs. */
const ALLOWED_IN_PROC = new Set([
  "/proc/cpuinfo",
  "/proc/diskstats",
  "/proc/meminfo",
  "/proc/stat",
  "/proc/swaps",
  "/proc/uptime",
  "/proc/loadavg",
  "/proc/slabinfo",
  "/proc/sys/kernel/ns_last_pid",
  "/proc/sys/crypto/fips_enabled",
]);

function checkRequest(
  { mount, pointer, destination, options, source }: MountRequest,
  plan: Pick<InitPlan, "facts">,
): void {
  const refuse = (message: string, at = pointer): never => {
    throw new RuntsError(`${at}: ${message}`, { operation: "mount", path: destination, pointer: at });
  };
  if (destination === "/") {
    const instead = options.remount
      ? "root.readonly and linux.rootfsPropagation change it"
      : "name it in root.path";
    refuse(`a mount on / would cover the root file system: ${instead}`, `${pointer}/destination`);
  }
  if (options.bind && options.data.length > 0) {
    // The kernel ignores the data of a bind mount (mount(2)), and the public conformance suite relies on that.
    plan.facts.warn(`${pointer}/options: a bind mount ignores ${options.data.join(",")}`);
  }
  if (options.bind && !options.remount && (mount.source ?? "") === "") refuse("a bind mount needs a source");
  const isCgroup = isCgroupMount(mount);
  const ofHierarchy =
    isCgroup && !options.bind && !options.remount
      ? options.data.filter((option) => CGROUP_OPTIONS.has(option))
      : [];
  const ofFileSystem = [
    ...options.superblockFlags.filter((flag) => flag !== "ro"),
    ...options.data.filter((word) => !ofHierarchy.includes(word)),
  ];
  if ((options.remount || isCgroup) && !options.bind && ofFileSystem.length > 0) {
    // The kernel would change the file system itself, which the host and other containers share.
    refuse(
      `${options.remount ? "remount" : mount.type} takes no file system options: ${ofFileSystem.join(",")}`,
    );
  }
  if (ofHierarchy.length > 0) {
    const why = "the host sets it for the whole cgroup hierarchy";
    plan.facts.warn(`${pointer}/options: a container can't choose ${ofHierarchy.join(",")}: ${why}`);
  }
  if (options.tmpcopyup && mount.type !== "tmpfs") refuse("tmpcopyup is an option of tmpfs");
  if (!options.bind && !options.remount && (mount.type ?? "") === "")
    refuse("a mount needs a type or the option bind");
  // Whoever chooses what is mounted on /proc can redirect what the runtime writes there (CVE-2019-16884, CVE-2023-27561).
  if (destination === "/proc" && !options.remount) {
    const isProc = options.bind ? plan.facts.isProcfs(source) : mount.type === "proc";
    if (!isProc) refuse("only procfs may be mounted on /proc");
  } else if (destination.startsWith("/proc/") && !ALLOWED_IN_PROC.has(destination)) {
    refuse(`${destination} cannot be mounted because it is inside /proc`);
  }
}

/**
 * Options of the cgroup2 hierarchy, which some configs copy from the host's mount. All mounts share them, and the kernel takes them only in
 * the initial cgroup namespace and ignores them elsewhere. Documentation/admin-guide/cgroup-v2.rst
 */
const CGROUP_OPTIONS = new Set([
  "favordynmods",
  "memory_hugetlb_accounting",
  "memory_localevents",
  "memory_recursiveprot",
  "nofavordynmods",
  "nsdelegate",
  "pids_localevents",
]);

/** Refuses options that are too long for mount(2), which would cut them off silently. */
function checkData(
  { mount, pointer, destination, options }: MountRequest,
  plan: Pick<InitPlan, "config" | "facts">,
): void {
  const { type = "", source = type } = mount;
  if (options.bind || options.remount || !needsLegacyMount(type, source, options.data)) return;
  const length = byteLength(mountData({ type, options, context: contextOption(plan) }));
  if (length <= MAX_DATA) return;
  const message = `${pointer}/options: the options of the file system are ${length} bytes long, but mount(2) takes at most ${MAX_DATA}`;
  throw new RuntsError(message, { operation: "mount", path: destination, pointer: `${pointer}/options` });
}
