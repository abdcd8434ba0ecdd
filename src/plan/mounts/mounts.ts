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
import { needsLegacyMount } from "./data.ts";
import { devicePaths } from "./devices.ts";
import { isMadeOfSource, type OpenedSource, openInnerSource } from "./inner-sources.ts";
import { openTarget } from "./made-mounts.ts";
import { emptyFileSystem } from "./masked-paths.ts";
import {
  IVERSION,
  keepModeOfCovered,
  mapIds,
  type NewMount,
  newLegacyMount,
  newMount,
  refusesSymlinks,
  setIversion,
} from "./new-mount.ts";
import { bindAttributes, type MountOptions } from "./options.ts";
import { isCgroupMount, type MountRequest } from "./requests.ts";
import { copySymlink } from "./symlinks.ts";

/**
 * Opens the sources of all bind mounts, except those that lie in earlier mounts. This happens as the caller's user, since root of a user
 * namespace may have no access to them, and before a mount of the container can cover them.
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

/** Flags of open_tree(2) for a detached copy of a bind mount's source. */
export function copyFlags(options: MountOptions): number {
  return OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (options.recursiveBind ? AT_RECURSIVE : 0) | noFollow(options);
}

function noFollow({ sourceNoFollow }: MountOptions): number {
  return sourceNoFollow ? AT_SYMLINK_NOFOLLOW : 0;
}

/** Kind of mount point that a bind mount needs: that of its source. */
export function kindOfSource(
  { source, pointer, options }: Pick<MountRequest, "source" | "pointer" | "options">,
  facts: Pick<HostFacts, "isDirectory" | "linkTarget">,
): "directory" | "file" {
  if (options.sourceNoFollow && facts.linkTarget(source, pointer) !== undefined) return "file";
  return facts.isDirectory(source, pointer) ? "directory" : "file";
}

/** Makes the mounts in the listed order, and appends the checks of the reply to `checks`. config.md, Mounts. */
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
      // In a running container each mount is finished before the next one is made.
      const staysOpen = isNeeded && !plan.isLive;
      if (!staysOpen) program.do("close", [mount]);
      const hasTrustedContent = hasNoFilesOfOthers(request);
      plan.made.push({ destination, pointer, mount: staysOpen ? mount : undefined, hasTrustedContent });
    }
  });
}

/** Makes and attaches one mount; returns its descriptor. */
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

/** Paths that are opened once the mounts are made. Those below a mount must be found in that mount and nowhere else. */
function pathsOpenedLater({ config }: InitPlan): string[] {
  const { maskedPaths = [], readonlyPaths = [] } = config.linux ?? {};
  return [...maskedPaths.map(cleanPath), ...readonlyPaths.map(cleanPath), ...devicePaths(config)];
}

/** Whether a later mount has its destination or its source at or below this one. */
function isBelowLater(requests: readonly MountRequest[], index: number): boolean {
  const place = requests[index]?.destination ?? "";
  for (let later = index + 1; later < requests.length; later++) {
    const { destination = "", inner = "" } = requests[later] ?? {};
    if (isAtOrBelow(destination, place) || isAtOrBelow(inner, place)) return true;
  }
  return false;
}

/** File systems that start empty or show data of the kernel. */
const WITHOUT_FILES = new Set(["cgroup", "cgroup2", "devpts", "mqueue", "proc", "sysfs", "tmpfs"]);

function hasNoFilesOfOthers({ mount, options }: MountRequest): boolean {
  return !options.bind && !options.tmpcopyup && WITHOUT_FILES.has(mount.type ?? "");
}

/** Changes flags and propagation of a mount: one that this set-up made, by its descriptor, or any other, by its path. */
function remount(program: Program, plan: InitPlan, { destination, options }: MountRequest): void {
  const { attributes, recursiveAttributes } = options;
  const own = plan.made.findLast((made) => made.destination === destination)?.mount;
  const mount = own ?? openInRoot(program, plan.root, destination);
  applyAttributes(program, mount, attributes);
  applyRecursive(program, mount, recursiveAttributes);
  applyPropagation(program, mount, options);
  if (own === undefined) program.do("close", [mount]);
}

/**
 * Returns the detached copy of a bind mount's source. It is made at its mount's turn, since Linux 6.8 and later list mounts in the order of
 * their making, not of their attachment.
 */
function bindCopy(program: Program, request: MountRequest, opened: Register): Register {
  if (request.isCopy === true) return opened;
  const flags = copyFlags(request.options) | AT_EMPTY_PATH;
  const copy = program.call("open_tree", [opened, "", flags], { path: request.source });
  program.do("close", [opened]);
  if (request.mappings !== undefined) mapIds(program, request.mount, copy, request.mappings);
  return copy;
}

/**
 * Sets all flags on the detached copy, then attaches it: a process of a running container may wait for the moment in which a read-only mount
 * is still writable. The propagation is set last, since a mount becomes shared when it is attached below a shared one
 * (mount_namespaces(7)). In a running container it is also set before: if the root is shared, the copy is a peer of the host's mount, and
 * mounts that the container makes on it would show on the host.
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
 * Sets the flags of a bind mount. If no option names a flag, the source's flags stay; otherwise the mount gets exactly the named ones. In a
 * user namespace the kernel locks the flags of the host's mounts (mount_namespaces(7)) and refuses to clear them; then the named flags are
 * only added. The flags of a copy that was made outside of the namespace are not locked, but they stay as well.
 */
function applyBindAttributes(
  program: Program,
  { namespaces }: InitPlan,
  { options, isCopy, pointer }: MountRequest,
  mount: Register,
): void {
  const { attributes, hasExplicitFlags } = options;
  if (!hasExplicitFlags || (isCopy === true && hasNamespace(namespaces, "user"))) {
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
  const target = openTarget(program, plan, destination, "directory", { noSymlinks: refusesSymlinks(type) });
  const writable = isFilledFirst(request) || options.tmpcopyup;
  const source = request.mount.source ?? type;
  const label = plan.facts.mountLabel;
  const wanted = { type, source, options, writable, context: contextOption(plan) };
  const mount = maybeBindsHostSysfs(plan, request)
    ? newMountOrHostSysfs(program, wanted)
    : newFileSystem(program, wanted, target.fd);
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

function newFileSystem(program: Program, wanted: NewMount, target: Register): Register {
  const { type, source, options } = wanted;
  if (needsLegacyMount(type, source, options.data)) return newLegacyMount(program, wanted, target);
  return newMount(program, wanted).mount;
}

function isReadonly({ options }: MountRequest): boolean {
  return (options.attributes.set & MOUNT_ATTR_RDONLY) !== 0;
}

/**
 * Whether the host's /sys may have to be bound in place of a new sysfs. sysfs shows the devices of a network namespace, and the kernel lets
 * only the owner of that namespace mount it. If the container's user namespace doesn't own it, a new sysfs would show what the host's
 * /sys shows. So that is bound, with all its submounts read-only.
 */
function maybeBindsHostSysfs(plan: InitPlan, request: MountRequest): boolean {
  const isSysfs = request.mount.type === "sysfs";
  return isSysfs && isReadonly(request) && isInUserNamespace(plan) && !plan.namespaces.created.has("network");
}

function newMountOrHostSysfs(program: Program, wanted: NewMount): Register {
  const { mount, made } = newMount(program, wanted, { by: "fsopen", errors: ["EPERM"] });
  const refused = { if: [made, "failed"], path: "/sys" } as const;
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
  program.call("open_tree", [AT_FDCWD, "/sys", flags], { ...refused, into: mount });
  setMountAttributes(program, mount, { set: wanted.options.attributes.set }, AT_RECURSIVE, refused);
  return mount;
}

/**
 * Whether the mount is a read-only /dev or tmpfs, which is filled before it becomes read-only. While a container is created, mount points
 * and devices are made in it, so that happens at the very end; in a running container, before the mount is attached.
 */
function isFilledFirst(request: MountRequest): boolean {
  const { mount, options, destination } = request;
  return !options.bind && isReadonly(request) && (mount.type === "tmpfs" || destination === "/dev");
}

/**
 * Mounts cgroup2 in the container's cgroup namespace, where it shows the container's own cgroup only. If the kernel refuses (EPERM, EBUSY),
 * the directory of that cgroup is bound instead. A container without a cgroup, as an unprivileged caller may create it, gets an empty
 * directory, never the host's hierarchy (CVE-2023-25809).
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
  const refused: CallOptions = { if: [made, "failed"], into: fresh };
  const { cgroup, mountLabel } = plan.facts;
  if (cgroup === undefined) emptyFileSystem(program, mountLabel, refused);
  else program.call("open_tree", [AT_FDCWD, cgroup, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC], refused);
  return fresh;
}

/** Makes those mounts read-only that had to be filled first. */
export function finishMounts(program: Program, plan: InitPlan, requests: readonly MountRequest[]): void {
  for (const request of requests) {
    const { destination, pointer } = request;
    const mount = plan.made.findLast((made) => made.pointer === pointer)?.mount;
    if (mount === undefined || !isFilledFirst(request)) continue;
    program.about(pointer, `make ${destination} read-only`);
    setMountAttributes(program, mount, { set: MOUNT_ATTR_RDONLY });
  }
}
