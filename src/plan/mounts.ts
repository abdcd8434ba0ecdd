import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW } from "../../bindings/abi/fcntl.ts";
import { MOUNT_ATTR_RDONLY, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from "../../bindings/abi/mount.ts";
import { absolutePath, basename, dirname } from "../../bindings/linux/paths.ts";
import type { CallOptions, Program, Register } from "../../bindings/stub/program.ts";
import { RuntsError } from "../errors.ts";
import type { Mount } from "../spec/types.ts";
import { emptyFileSystem } from "./hidden-paths.ts";
import { type HostFacts, hasOwn, type InitPlan, isInUserNamespace, type ReplyCheck } from "./init-plan.ts";
import { byteLength, MAX_DATA, needsOneString } from "./mount-data.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";
import {
  dataOf,
  IVERSION,
  isStrict,
  keepModeOfCovered,
  mapIds,
  type NewMount,
  newMount,
  newMountByString,
  type Refusal,
  setIversion,
} from "./new-mount.ts";
import {
  attach,
  attachFile,
  cleanPath,
  openInRoot,
  openOrCreate,
  setMountAttributes,
  type Target,
} from "./rootfs-paths.ts";
import { contextOption, labelDirectory } from "./security-labels.ts";
import { checkLinkOptions, copySymlink } from "./symlink-options.ts";

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
  /** The source of a bind mount, once it is opened: itself, or a detached copy of it if `isCopy`. */
  opened?: Register;
  isCopy?: boolean;
  /** The user namespace whose mappings a new file system is mounted with. */
  mappings?: Register;
}

/** `list` is the pointer of the list of mounts. */
export function mountRequests(plan: Pick<InitPlan, "config" | "facts">, list = "/mounts"): MountRequest[] {
  return (plan.config.mounts ?? []).map((mount, index) => {
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
      holdsRootfs: `${plan.facts.rootfs}/`.startsWith(source.endsWith("/") ? source : `${source}/`),
    };
    checkRequest(request, plan);
    checkLinkOptions(request);
    checkData(request, plan);
    return request;
  });
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
  const refuse = (message: string): never => {
    throw new RuntsError(`${pointer}: ${message}`, { operation: "mount", path: destination, pointer });
  };
  if (destination === "/") refuse("a mount over the root file system itself is not allowed");
  if (options.bind && options.data.length > 0) {
    // The kernel ignores the data of a bind mount (mount(2)), and the public conformance suite relies on that.
    plan.facts.warn(`${pointer}/options: a bind mount has no use for ${options.data.join(",")}`);
  }
  if (options.bind && !options.remount && (mount.source ?? "") === "") refuse("a bind mount needs a source");
  const isCgroup = mount.type === "cgroup" || mount.type === "cgroup2";
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

/**
 * Opens the sources of all bind mounts: as the caller's user, before the root of a user namespace is assumed, who may have
 * no access to them, and before a mount of the container can cover them.
 */
export function openBindSources(program: Program, requests: readonly MountRequest[]): void {
  for (const request of requests) {
    const { options, source, pointer, destination } = request;
    if (!isMadeOfSource(request) || request.opened !== undefined) continue;
    program.about(pointer, `bind ${source} on ${destination}`);
    request.isCopy = request.holdsRootfs;
    const flags = request.holdsRootfs ? copyFlags(options) : OPEN_TREE_CLOEXEC | noFollow(options);
    request.opened = program.call("open_tree", [AT_FDCWD, source, flags]);
  }
}

/** Whether it shows a source of the host: a bind mount, but not a change of one, nor a link that takes its place. */
export function isMadeOfSource({ options, link }: Pick<MountRequest, "options" | "link">): boolean {
  return options.bind && !options.remount && link === undefined;
}

/** Of open_tree(2): a detached copy of a bind mount's source. */
export function copyFlags(options: MountOptions): number {
  return OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (options.recursiveBind ? AT_RECURSIVE : 0) | noFollow(options);
}

function noFollow({ sourceNoFollow }: MountOptions): number {
  return sourceNoFollow ? AT_SYMLINK_NOFOLLOW : 0;
}

/** What a bind mount needs to be there at its destination. */
export function kindOfSource(
  { source, pointer, options }: Pick<MountRequest, "source" | "pointer" | "options">,
  facts: Pick<HostFacts, "isDirectory" | "linkTarget">,
): "directory" | "file" {
  if (options.sourceNoFollow && facts.linkTarget(source, pointer) !== undefined) return "file";
  return facts.isDirectory(source, pointer) ? "directory" : "file";
}

/** Makes the mounts in the listed order; what to check of the reply is added to `checks`. config.md, Mounts. */
export function makeMounts(
  program: Program,
  plan: InitPlan,
  requests: readonly MountRequest[],
  checks: ReplyCheck[],
): void {
  for (const request of requests) {
    const { mount, options, destination, pointer, link } = request;
    if (link !== undefined) {
      program.about(pointer, `make ${destination} a symbolic link to ${link}`);
      checks.push(copySymlink(program, plan, request, link));
    } else if (options.remount) {
      program.about(pointer, `remount ${destination}`);
      remount(program, plan, request);
    } else if (request.opened !== undefined) {
      program.about(pointer, `bind ${request.source} on ${destination}`);
      attachBind(program, plan, request, bindCopy(program, request, request.opened));
    } else {
      program.about(pointer, `mount ${mount.type} on ${destination}`);
      if (mount.type === "cgroup" || mount.type === "cgroup2") mountCgroup(program, plan, request);
      else mountFileSystem(program, plan, request, mount.type ?? "");
    }
  }
}

function remount(program: Program, plan: InitPlan, request: MountRequest): void {
  const fd = openInRoot(program, plan.root, request.destination);
  applyOptions(program, fd, request.options);
  program.do("close", [fd]);
}

/** Copies the source at its turn: Linux 6.8 and later list mounts in the order in which they were made, not attached. */
function bindCopy(program: Program, request: MountRequest, opened: Register): Register {
  if (request.isCopy === true) return opened;
  const flags = copyFlags(request.options) | AT_EMPTY_PATH;
  const copy = program.call("open_tree", [opened, "", flags], { path: request.source });
  program.do("close", [opened]);
  return copy;
}

function attachBind(program: Program, plan: InitPlan, request: MountRequest, source: Register): void {
  const kind = kindOfSource(request, plan.facts);
  const noFollow = request.options.destinationNoFollow;
  const target = openOrCreate(program, plan.root, request.destination, kind, { noFollow });
  if (kind === "directory") attach(program, source, target.fd);
  else attachFile(program, source, target.fd, { path: request.destination });
  applyOptions(program, source, request.options);
  closeAll(program, source, target);
}

/** Flags, recursive flags and propagation, in this order, on a mount that is in its place. */
function applyOptions(program: Program, mount: Register, options: MountOptions): void {
  const { attributes, recursiveAttributes } = options;
  if (attributes.set !== 0 || attributes.clear !== 0) setMountAttributes(program, mount, attributes);
  applyRecursive(program, mount, recursiveAttributes);
  applyPropagation(program, mount, options);
}

function applyRecursive(
  program: Program,
  mount: Register,
  change: MountOptions["recursiveAttributes"],
): void {
  if (change.set !== 0 || change.clear !== 0) setMountAttributes(program, mount, change, AT_RECURSIVE);
}

function applyPropagation(program: Program, mount: Register, options: MountOptions): void {
  for (const { type, recursive } of options.propagation) {
    setMountAttributes(program, mount, { propagation: type }, recursive ? AT_RECURSIVE : 0);
  }
}

function mountFileSystem(program: Program, plan: InitPlan, request: MountRequest, type: string): void {
  const { options, destination } = request;
  const target = openOrCreate(program, plan.root, destination, "directory", { noSymlinks: isStrict(type) });
  const writable = isFilledLater(request) || options.tmpcopyup;
  const source = request.mount.source ?? type;
  const label = plan.facts.mountLabel;
  const refusal = maybeBindsHostSysfs(plan, request) ? SYSFS_OF_OTHERS : undefined;
  const wanted = { type, source, options, writable, context: contextOption(plan) };
  const mount =
    refusal === undefined && needsOneString(type, source, options.data)
      ? newMountByString(program, wanted, target.fd)
      : newMountOrHostSysfs(program, wanted, refusal);
  if (request.mappings !== undefined) mapIds(program, request.mount, mount, request.mappings);
  if (label !== "" && type === "mqueue") labelDirectory(program, mount, label);
  if (type === "tmpfs" && !options.data.some((option) => option.startsWith("mode="))) {
    keepModeOfCovered(program, target, mount);
  }
  if (options.tmpcopyup) plan.copyUp(program, target.fd, mount, request.pointer);
  attach(program, mount, target.fd);
  if (options.superblockFlags.includes(IVERSION)) setIversion(program, mount, options);
  applyRecursive(program, mount, options.recursiveAttributes);
  applyPropagation(program, mount, options);
  closeAll(program, mount, target);
}

/**
 * sysfs shows the devices of a network namespace, and the kernel mounts it only for who owns that. Where the container's user
 * namespace doesn't, the host's own /sys is what it would show: that is bound, read-only down to the last mount of it.
 */
function maybeBindsHostSysfs(plan: InitPlan, { mount, options }: MountRequest): boolean {
  const readonly = (options.attributes.set & MOUNT_ATTR_RDONLY) !== 0;
  return (
    mount.type === "sysfs" && readonly && isInUserNamespace(plan) && !plan.namespaces.created.has("network")
  );
}

function newMountOrHostSysfs(program: Program, wanted: NewMount, refusal: Refusal | undefined): Register {
  const { mount, made } = newMount(program, wanted, refusal);
  if (refusal !== undefined) bindHostSysfs(program, mount, made, wanted.options);
  return mount;
}

const SYSFS_OF_OTHERS: Refusal = { by: "fsopen", errors: ["EPERM"] };

function bindHostSysfs(program: Program, mount: Register, made: Register, options: MountOptions): void {
  const refused = { if: [made, "failed"], path: "/sys" } as const;
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
  program.call("open_tree", [AT_FDCWD, "/sys", flags], { ...refused, into: mount });
  setMountAttributes(program, mount, { set: options.attributes.set }, AT_RECURSIVE, refused);
}

/** A read-only /dev or tmpfs has to be filled first: it is made read-only at the very end. */
function isFilledLater({ mount, options, destination }: MountRequest): boolean {
  const readonly = (options.attributes.set & MOUNT_ATTR_RDONLY) !== 0;
  return readonly && !options.bind && (mount.type === "tmpfs" || destination === "/dev");
}

/**
 * The container's cgroup at /sys/fs/cgroup. With a cgroup namespace a mount shows only the container's own part; without,
 * its directory is bound. Where the mount is not allowed (EPERM, EBUSY) the directory is bound too. A container without a
 * cgroup of its own, as an unprivileged caller may make it, gets an empty directory rather than the host's (CVE-2023-25809).
 */
function mountCgroup(program: Program, plan: InitPlan, request: MountRequest): void {
  const { options, destination } = request;
  const target = openOrCreate(program, plan.root, destination, "directory");
  let mount: Register;
  if (hasOwn(plan.namespaces, "cgroup")) {
    const source = request.mount.source ?? "cgroup";
    const plain = { ...options, attributes: NO_CHANGE, superblockFlags: [], data: [] };
    const newCgroup = { type: "cgroup2", source, options: plain, writable: false, context: "" };
    const { made, mount: fresh } = newMount(program, newCgroup, { by: "create", errors: ["EPERM", "EBUSY"] });
    mount = fresh;
    bindCgroup(program, plan, { if: [made, "failed"], into: mount });
  } else {
    mount = bindCgroup(program, plan, {});
  }
  setMountAttributes(program, mount, options.attributes);
  attach(program, mount, target.fd);
  applyRecursive(program, mount, options.recursiveAttributes);
  applyPropagation(program, mount, options);
  closeAll(program, mount, target);
}

const NO_CHANGE = { set: 0, clear: 0 };

function bindCgroup(program: Program, { facts }: InitPlan, options: CallOptions): Register {
  if (facts.cgroup === undefined) return emptyFileSystem(program, facts.mountLabel, options);
  return program.call("open_tree", [AT_FDCWD, facts.cgroup, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC], options);
}

function closeAll(program: Program, mount: Register, target: Target): void {
  program.do("close", [mount]);
  program.do("close", [target.fd]);
}

/** Makes the mounts read-only that had to be filled first. */
export function finishMounts(program: Program, plan: InitPlan, requests: readonly MountRequest[]): void {
  for (const request of requests) {
    if (!isFilledLater(request)) continue;
    program.about(request.pointer, `make ${request.destination} read-only`);
    const fd = openInRoot(program, plan.root, request.destination);
    setMountAttributes(program, fd, { set: MOUNT_ATTR_RDONLY });
    program.do("close", [fd]);
  }
}
