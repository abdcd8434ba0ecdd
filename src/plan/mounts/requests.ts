import { absolutePath, basename, dirname } from "../../../bindings/linux/paths.ts";
import type { Register } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import type { Mount } from "../../spec/types.ts";
import { type HostFacts, hasNamespace, type InitPlan, namespacesOf } from "../init-plan.ts";
import { contextOption } from "../process/labels.ts";
import { cleanPath, isAtOrBelow } from "../rootfs-paths.ts";
import { byteLength, MAX_DATA, needsOneString } from "./data.ts";
import { findInnerSources } from "./inner-sources.ts";
import { dataOf, isStrict } from "./new-mount.ts";
import { type MountOptions, parseMountOptions } from "./options.ts";
import { checkLinkOptions } from "./symlinks.ts";

/** One entry of `mounts`, understood. */
export interface MountRequest {
  readonly mount: Mount;
  readonly pointer: string;
  /** Clean absolute path in the container. */
  readonly destination: string;
  readonly options: MountOptions;
  /** Absolute source of a bind mount. */
  readonly source: string;
  /** Target of the symbolic link that is made instead of a mount (option copy-symlink). */
  readonly link: string | undefined;
  /** Whether a copy of the source would contain the container's own mounts if it were made after them. */
  readonly holdsRootfs: boolean;
  /** Path in the container of a source that an earlier mount of the config covers, or is mounted below: it can be opened only after that. */
  inner?: string;
  /** The source of a bind mount, once it is opened: itself, or a detached copy of it if `isCopy`. */
  opened?: Register;
  isCopy?: boolean;
  /** The user namespace whose mappings a new file system is mounted with. */
  mappings?: Register;
}

/** Always a link to the ptmx of the container's own devpts. config-linux.md, Dev symbolic links */
export const PTMX = "/dev/ptmx";

/** `list` is the pointer of the list of mounts. */
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
    return showsHierarchy(request, plan) ? bindHierarchy(request, plan) : request;
  });
  const kept =
    requests.some(isAtPtmx) && !devIsBound(requests) ? withoutPtmx(requests, plan.facts) : requests;
  findInnerSources(kept, plan);
  return kept;
}

function isAtPtmx({ mount }: MountRequest): boolean {
  return cleanPath(mount.destination) === PTMX;
}

/** Leaves out a mount on /dev/ptmx: if the host's is that of its devpts, it would open terminals of the host. */
function withoutPtmx(requests: readonly MountRequest[], { warn }: HostFacts): MountRequest[] {
  return requests.filter((request) => {
    if (!isAtPtmx(request)) return true;
    warn(`${request.pointer}: left out, since ${PTMX} is a link to the ptmx of the container's own devpts`);
    return false;
  });
}

/** If /dev is a bind mount it is the host's own or somebody's who filled it already: nothing is made in it. */
export function devIsBound(requests: readonly MountRequest[]): boolean {
  return requests.some(({ destination, options }) => destination === "/dev" && options.bind);
}

/**
 * Without a cgroup namespace, /proc/self/cgroup has paths from the root of the hierarchy, so the mount has to show all of it:
 * cgroup_namespaces(7). Not to a container without a cgroup of its own: as root of its user namespace it could remount it with rw, and
 * write to the cgroups of an unprivileged caller (CVE-2023-25809).
 */
function showsHierarchy(
  { mount, options }: MountRequest,
  { config, facts }: Pick<InitPlan, "config" | "facts">,
): boolean {
  if (!isCgroupMount(mount) || options.bind || options.remount) return false;
  return facts.cgroup !== undefined && !hasNamespace(namespacesOf(config), "cgroup");
}

/**
 * Binds the host's mount. A new mount of cgroup2 in the host's first cgroup namespace would change the hierarchy's options for all
 * (cgroup_reconfigure), and waits for an RCU grace period, some ten milliseconds.
 */
function bindHierarchy(request: MountRequest, { facts }: Pick<InitPlan, "facts">): MountRequest {
  const source = facts.cgroupHierarchy(request.pointer);
  return { ...request, source, options: { ...request.options, bind: true, superblockFlags: [], data: [] } };
}

export function isCgroupMount({ type }: Mount): boolean {
  return type === "cgroup" || type === "cgroup2";
}

/** `noFollow`: whether a symbolic link at the very end of it is what is meant. */
function destinationOf({ type, destination }: Mount, noFollow: boolean, facts: HostFacts): string {
  const path = cleanPath(destination);
  if (isStrict(type ?? "")) return path;
  if (!noFollow || path === "/") return facts.followDanglingLinks(path);
  return cleanPath(`${facts.followDanglingLinks(dirname(path))}/${basename(path)}`);
}

/** Files below /proc that may be bound over, for lxcfs and the like; a mount anywhere else in it could fake procfs. */
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
    refuse(`a mount on / would take the place of the root file system: ${instead}`, `${pointer}/destination`);
  }
  if (options.bind && options.data.length > 0) {
    // The kernel ignores the data of a bind mount (mount(2)), and the public conformance suite relies on that.
    plan.facts.warn(`${pointer}/options: a bind mount has no use for ${options.data.join(",")}`);
  }
  if (options.bind && !options.remount && (mount.source ?? "") === "") refuse("a bind mount needs a source");
  const isCgroup = isCgroupMount(mount);
  const ofHierarchy = isCgroup && !options.bind && !options.remount ? options.data.filter(isOfHierarchy) : [];
  const ofFileSystem = [
    ...options.superblockFlags.filter((flag) => flag !== "ro"),
    ...options.data.filter((word) => !ofHierarchy.includes(word)),
  ];
  if ((options.remount || isCgroup) && !options.bind && ofFileSystem.length > 0) {
    // The kernel would change the file system, which the host and other containers use too.
    refuse(
      `${options.remount ? "remount" : mount.type} takes no file system options: ${ofFileSystem.join(",")}`,
    );
  }
  if (ofHierarchy.length > 0) {
    const why = "the whole cgroup hierarchy has it or not, as the host says";
    plan.facts.warn(`${pointer}/options: a container can't choose ${ofHierarchy.join(",")}: ${why}`);
  }
  if (options.tmpcopyup && mount.type !== "tmpfs") refuse("tmpcopyup is an option of tmpfs");
  if (!options.bind && !options.remount && (mount.type ?? "") === "")
    refuse("a mount needs a type or the option bind");
  // CVE-2019-16884, CVE-2023-27561: whoever may choose what /proc is may fake what the runtime writes to it.
  if (destination === "/proc" && !options.remount) {
    const isProc = options.bind ? plan.facts.isProcfs(source) : mount.type === "proc";
    if (!isProc) refuse("only procfs may be mounted on /proc");
  } else if (destination.startsWith("/proc/") && !ALLOWED_IN_PROC.has(destination)) {
    refuse(`${destination} cannot be mounted because it is inside /proc`);
  }
}

/**
 * Options of cgroup2 itself, which configs have copied from the host's mount. All mounts share them, and the kernel takes them from the
 * host's first cgroup namespace alone; elsewhere it ignores them. Documentation/admin-guide/cgroup-v2.rst
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

function isOfHierarchy(option: string): boolean {
  return CGROUP_OPTIONS.has(option);
}

/** What mount(2) would cut off. */
function checkData(
  { mount, pointer, destination, options }: MountRequest,
  plan: Pick<InitPlan, "config" | "facts">,
): void {
  const { type = "", source = type } = mount;
  if (options.bind || options.remount || !needsOneString(type, source, options.data)) return;
  const length = byteLength(dataOf({ type, options, context: contextOption(plan) }));
  if (length <= MAX_DATA) return;
  const message = `${pointer}/options: the options of the file system are ${length} bytes long, and mount(2) takes ${MAX_DATA}`;
  throw new RuntsError(message, { operation: "mount", path: destination, pointer: `${pointer}/options` });
}
