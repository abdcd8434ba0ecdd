import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW } from "../../../bindings/abi/fcntl.ts";
import { MOUNT_ATTR_RDONLY, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from "../../../bindings/abi/mount.ts";
import type { CallOptions, Program, Register } from "../../../bindings/stub/program.ts";
import {
  type HostFacts,
  hasNamespace,
  type InitPlan,
  isInUserNamespace,
  type ReplyCheck,
} from "../init-plan.ts";
import { contextOption, labelDirectory } from "../process/labels.ts";
import {
  attach,
  attachFile,
  cleanPath,
  isAtOrBelow,
  openInRoot,
  setMountAttributes,
} from "../rootfs-paths.ts";
import { needsOneString } from "./data.ts";
import { devicePaths } from "./devices.ts";
import { isMadeOfSource, type OpenedSource, openInnerSource } from "./inner-sources.ts";
import { openTarget } from "./made-mounts.ts";
import { emptyFileSystem } from "./masked-paths.ts";
import {
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
import { bindAttributes, type MountOptions } from "./options.ts";
import { isCgroupMount, type MountRequest } from "./requests.ts";
import { copySymlink } from "./symlinks.ts";

/**
 * Opens the sources of all bind mounts: as the caller's user, before the root of a user namespace is assumed, who may have
 * no access to them, and before a mount of the container can cover them. Sources in earlier mounts are opened later.
 */
export function openBindSources(program: Program, requests: readonly MountRequest[]): void {
  for (const request of requests) {
    const { options, source, pointer, destination } = request;
    if (!isMadeOfSource(request) || request.opened !== undefined || request.inner !== undefined) continue;
    program.about(pointer, `bind ${source} on ${destination}`);
    request.isCopy = request.holdsRootfs;
    const flags = request.holdsRootfs ? copyFlags(options) : OPEN_TREE_CLOEXEC | noFollow(options);
    request.opened = program.call("open_tree", [AT_FDCWD, source, flags]);
  }
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
  const openedLater = pathsOpenedLater(plan);
  requests.forEach((request, index) => {
    const { options, destination, pointer, link } = request;
    if (link !== undefined) {
      program.about(pointer, `make ${destination} a symbolic link to ${link}`);
      checks.push(copySymlink(program, plan, request, link));
    } else if (options.remount) {
      program.about(pointer, `remount ${destination}`);
      remount(program, plan, request);
    } else {
      const mount = makeMount(program, plan, request);
      const isInIt = (path: string) => isAtOrBelow(path, destination);
      const isNeeded = isFilledFirst(request) || openedLater.some(isInIt) || isBelowLater(requests, index);
      // In a container that runs each mount is complete before the next.
      const staysOpen = isNeeded && !plan.isLive;
      if (!staysOpen) program.do("close", [mount]);
      const isOurs = hasNoFilesOfOthers(request);
      plan.made.push({ destination, pointer, mount: staysOpen ? mount : undefined, isOurs });
    }
  });
}

/** Returns the descriptor of the mount, which is in its place then. */
function makeMount(program: Program, plan: InitPlan, request: MountRequest): Register {
  const { mount, destination, pointer, source, opened, inner } = request;
  if (inner !== undefined) return attachBind(program, plan, request, openInnerSource(program, plan, request));
  if (opened !== undefined) {
    program.about(pointer, `bind ${source} on ${destination}`);
    return attachBind(program, plan, request, { opened, kind: kindOfSource(request, plan.facts) });
  }
  program.about(pointer, `mount ${mount.type} on ${destination}`);
  if (isCgroupMount(mount)) return mountCgroup(program, plan, request);
  return mountFileSystem(program, plan, request, mount.type ?? "");
}

/** Paths that are opened once the mounts are made: those below a mount have to be found in it and nowhere else. */
function pathsOpenedLater({ config }: InitPlan): string[] {
  const { maskedPaths = [], readonlyPaths = [] } = config.linux ?? {};
  return [...maskedPaths.map(cleanPath), ...readonlyPaths.map(cleanPath), ...devicePaths(config)];
}

/** Whether a later mount goes to the same place or below it, or has its source there. */
function isBelowLater(requests: readonly MountRequest[], index: number): boolean {
  const place = requests[index]?.destination ?? "";
  for (let later = index + 1; later < requests.length; later++) {
    const { destination = "", inner = "" } = requests[later] ?? {};
    if (isAtOrBelow(destination, place) || isAtOrBelow(inner, place)) return true;
  }
  return false;
}

/** File systems that are empty at first, or show what the kernel has. */
const WITHOUT_FILES = new Set(["cgroup", "cgroup2", "devpts", "mqueue", "proc", "sysfs", "tmpfs"]);

function hasNoFilesOfOthers({ mount, options }: MountRequest): boolean {
  return !options.bind && !options.tmpcopyup && WITHOUT_FILES.has(mount.type ?? "");
}

/** A mount of the container's own is found by its descriptor, any other by its path. */
function remount(program: Program, plan: InitPlan, { destination, options }: MountRequest): void {
  const { attributes, recursiveAttributes } = options;
  const own = plan.made.findLast((made) => made.destination === destination)?.mount;
  const mount = own ?? openInRoot(program, plan.root, destination);
  applyAttributes(program, mount, attributes);
  applyRecursive(program, mount, recursiveAttributes);
  applyPropagation(program, mount, options);
  if (own === undefined) program.do("close", [mount]);
}

/** Copies the source at its turn: Linux 6.8 and later list mounts in the order in which they were made, not attached. */
function bindCopy(program: Program, request: MountRequest, opened: Register): Register {
  if (request.isCopy === true) return opened;
  const flags = copyFlags(request.options) | AT_EMPTY_PATH;
  const copy = program.call("open_tree", [opened, "", flags], { path: request.source });
  program.do("close", [opened]);
  if (request.mappings !== undefined) mapIds(program, request.mount, copy, request.mappings);
  return copy;
}

/**
 * All flags are set on the detached copy: in a container that runs, somebody may wait for the moment in which a read-only mount can be
 * written to. The propagation comes last, since a mount below a shared one becomes shared when it is attached
 * (mount_namespaces(7)). In a container that runs it is set before as well: where the root is shared the copy is a peer of the host's
 * mount, and what the container mounts on it shows there.
 */
function attachBind(
  program: Program,
  plan: InitPlan,
  request: MountRequest,
  { opened, kind }: OpenedSource,
): Register {
  const { destination, options } = request;
  const source = bindCopy(program, request, opened);
  const noFollow = options.destinationNoFollow;
  applyBindAttributes(program, plan, request, source);
  applyRecursive(program, source, options.recursiveAttributes);
  if (plan.isLive) applyPropagation(program, source, options);
  const target = openTarget(program, plan, destination, kind, { noFollow });
  if (kind === "directory") attach(program, source, target.fd);
  else attachFile(program, source, target.fd, { path: destination });
  applyPropagation(program, source, options);
  program.do("close", [target.fd]);
  return source;
}

/**
 * If no option names a flag, those of the source stay. If one does, the mount gets the named flags alone. In a user namespace the kernel
 * locks the flags of the host's mounts (mount_namespaces(7)), and the change is denied: then only the named flags are set. The flags of a
 * copy that the runtime has made outside of the namespace are not locked, but stay, too.
 */
function applyBindAttributes(
  program: Program,
  { namespaces }: InitPlan,
  { options, isCopy, pointer }: MountRequest,
  mount: Register,
): void {
  const { attributes, namesFlags } = options;
  if (!namesFlags || (isCopy === true && hasNamespace(namespaces, "user"))) {
    applyAttributes(program, mount, attributes);
  } else {
    const changed = program.registers.take(pointer);
    setMountAttributes(program, mount, bindAttributes(options), 0, { into: changed, tolerate: ["EPERM"] });
    applyAttributes(program, mount, attributes, { if: [changed, "failed"] });
  }
}

function applyAttributes(
  program: Program,
  mount: Register,
  change: MountOptions["attributes"],
  options: CallOptions = {},
): void {
  if (change.set !== 0 || change.clear !== 0) setMountAttributes(program, mount, change, 0, options);
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

function mountFileSystem(program: Program, plan: InitPlan, request: MountRequest, type: string): Register {
  const { options, destination } = request;
  const target = openTarget(program, plan, destination, "directory", { noSymlinks: isStrict(type) });
  const writable = isFilledFirst(request) || options.tmpcopyup;
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
  if (plan.isLive && isFilledFirst(request)) setMountAttributes(program, mount, { set: MOUNT_ATTR_RDONLY });
  applyRecursive(program, mount, options.recursiveAttributes);
  attach(program, mount, target.fd);
  if (options.superblockFlags.includes(IVERSION)) setIversion(program, mount, options);
  applyPropagation(program, mount, options);
  program.do("close", [target.fd]);
  return mount;
}

function isReadonly({ options }: MountRequest): boolean {
  return (options.attributes.set & MOUNT_ATTR_RDONLY) !== 0;
}

/**
 * sysfs shows the devices of a network namespace, and the kernel mounts it only for who owns that. Where the container's user
 * namespace doesn't, the host's own /sys is what it would show: that is bound, read-only down to the last mount of it.
 */
function maybeBindsHostSysfs(plan: InitPlan, request: MountRequest): boolean {
  const isSysfs = request.mount.type === "sysfs";
  return isSysfs && isReadonly(request) && isInUserNamespace(plan) && !plan.namespaces.created.has("network");
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

/**
 * A read-only /dev or tmpfs is filled first. While a container is made, other mounts and devices get their places in it, so that it
 * becomes read-only at the very end; in one that runs, before it is attached.
 */
function isFilledFirst(request: MountRequest): boolean {
  const { mount, options, destination } = request;
  return !options.bind && isReadonly(request) && (mount.type === "tmpfs" || destination === "/dev");
}

/**
 * Mounts the container's cgroup: in its cgroup namespace, a mount of cgroup2 shows only its own part. If that is denied (EPERM, EBUSY), the
 * directory of its cgroup is bound. A container without a cgroup of its own, as an unprivileged caller may make it, gets an empty
 * directory rather than the host's (CVE-2023-25809).
 */
function mountCgroup(program: Program, plan: InitPlan, request: MountRequest): Register {
  const { options, destination } = request;
  const target = openTarget(program, plan, destination, "directory");
  const mount = hasNamespace(plan.namespaces, "cgroup")
    ? newCgroupMount(program, plan, request)
    : emptyFileSystem(program, plan.facts.mountLabel);
  setMountAttributes(program, mount, options.attributes);
  applyRecursive(program, mount, options.recursiveAttributes);
  attach(program, mount, target.fd);
  applyPropagation(program, mount, options);
  program.do("close", [target.fd]);
  return mount;
}

const NO_CHANGE = { set: 0, clear: 0 } as const;

function newCgroupMount(program: Program, plan: InitPlan, { mount, options }: MountRequest): Register {
  const source = mount.source ?? "cgroup";
  const plain = { ...options, attributes: NO_CHANGE, superblockFlags: [], data: [] };
  const wanted = { type: "cgroup2", source, options: plain, writable: false, context: "" };
  const { made, mount: fresh } = newMount(program, wanted, { by: "create", errors: ["EPERM", "EBUSY"] });
  bindCgroup(program, plan, { if: [made, "failed"], into: fresh });
  return fresh;
}

function bindCgroup(program: Program, { facts }: InitPlan, options: CallOptions): void {
  if (facts.cgroup === undefined) emptyFileSystem(program, facts.mountLabel, options);
  else program.call("open_tree", [AT_FDCWD, facts.cgroup, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC], options);
}

/** Makes the mounts read-only that had to be filled first. */
export function finishMounts(program: Program, plan: InitPlan, requests: readonly MountRequest[]): void {
  for (const request of requests) {
    const { destination, pointer } = request;
    const mount = plan.made.findLast((made) => made.pointer === pointer)?.mount;
    if (mount === undefined || !isFilledFirst(request)) continue;
    program.about(pointer, `make ${destination} read-only`);
    setMountAttributes(program, mount, { set: MOUNT_ATTR_RDONLY });
  }
}
