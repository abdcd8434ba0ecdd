import { errnoName } from "../../bindings/abi/errno.ts";
import { AT_FDCWD } from "../../bindings/abi/fcntl.ts";
import { MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE } from "../../bindings/abi/mount.ts";
import { cString, syscall } from "../../bindings/ffi/syscall.ts";
import { mapMountIds, setTreePropagation } from "../../bindings/linux/id-mapped-mount.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import type { Program } from "../../bindings/stub/program.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";
import { hasNamespace, type InitPlan } from "../plan/init-plan.ts";
import { isMadeOfSource } from "../plan/mounts/inner-sources.ts";
import { copyFlags } from "../plan/mounts/mounts.ts";
import { parsePropagation } from "../plan/mounts/options.ts";
import { isCgroupMount, type MountRequest } from "../plan/mounts/requests.ts";
import {
  type IdMapOption,
  type IdMappings,
  idMapOption,
  parseIdMapOption,
  wantsIdMap,
} from "../spec/id-mapped-mount.ts";
import type { Config } from "../spec/types.ts";
import { type HandOver, handOver } from "./hand-over.ts";
import { idMapFailure } from "./id-map-failure.ts";
import { mapLines } from "./id-mappings.ts";
import { onBehalfOf } from "./run-program.ts";
import { type MapLines, makeUserNamespace, openUserNamespace } from "./user-namespace.ts";

/**
 * Mounts with mappings of their own. The kernel asks for CAP_SYS_ADMIN in the user namespace of the file system, which init no
 * longer has once it is in the container's: the runtime makes the copies of bind sources, maps them and hands them to init. For
 * a new file system, which init makes, it hands over the user namespace.
 */
export function prepareIdMappedMounts(
  program: Program,
  plan: InitPlan,
  requests: readonly MountRequest[],
  { pid, opened }: HandOver,
): void {
  const namespaces = new UserNamespaces(plan, pid, opened);
  for (const request of requests) {
    if (!wantsIdMap(request.mount)) continue;
    const option = idMapOption(request.mount.options);
    const pointer = pointerOf(request, option);
    refuseWhatCanNotBe(plan, request, pointer);
    const userNamespace = namespaces.of(request, option, pointer);
    if (request.options.bind && request.inner === undefined) {
      const mapping = { userNamespace, recursive: option?.recursive === true, pointer };
      const copy = mappedCopy(plan, request, mapping, opened);
      request.opened = handOver(program, plan, copy);
      request.isCopy = true;
    } else {
      request.mappings = handOver(program, plan, userNamespace);
    }
  }
}

function pointerOf({ pointer, mount }: MountRequest, option: IdMapOption | undefined): string {
  if ((mount.uidMappings ?? []).length > 0) return `${pointer}/uidMappings`;
  return option === undefined ? pointer : `${pointer}/options/${option.index}`;
}

function refuseWhatCanNotBe(plan: InitPlan, request: MountRequest, pointer: string): void {
  const { options, mount, destination } = request;
  const refuse = (message: string): never => {
    throw new RuntsError(`${pointer}: ${message}`, { operation: "mount", path: destination, pointer });
  };
  if (options.bind) {
    if (plan.namespaces.joined.has("mount")) {
      refuse(
        "an id-mapped bind mount needs a new mount namespace: the runtime doesn't see the sources of a joined one",
      );
    }
    if (request.inner !== undefined && hasNamespace(plan.namespaces, "user"))
      refuse("in a container with a user namespace what an earlier mount shows can't be id-mapped");
  } else if (isCgroupMount(mount)) {
    refuse(`the file system ${mount.type} does not support id mappings`);
  } else if (hasNamespace(plan.namespaces, "user")) {
    // mount_setattr(2): the mappings must not be those of the file system itself, which belongs to the container's namespace,
    // and init may not use any other namespace.
    refuse("in a container with a user namespace only a bind mount can be id-mapped");
  }
}

/** User namespaces by their mappings: one serves all mounts that have the same. */
class UserNamespaces {
  readonly #plan: InitPlan;
  readonly #pid: number;
  readonly #opened: OwnedDescriptor[];
  readonly #byMappings = new Map<string, number>();

  constructor(plan: InitPlan, pid: number, opened: OwnedDescriptor[]) {
    this.#plan = plan;
    this.#pid = pid;
    this.#opened = opened;
  }

  of(request: MountRequest, option: IdMapOption | undefined, pointer: string): number {
    const mappings = mappingsOf(request, option, this.#plan);
    const key =
      mappings === undefined || isContainers(mappings, this.#plan) ? "" : linesOf(mappings).join(";");
    const known = this.#byMappings.get(key);
    if (known !== undefined) return known;
    if (!this.#plan.facts.isProcfs("/proc")) {
      throw new RuntsError(`${pointer}: /proc of the host is not procfs`, { path: "/proc", pointer });
    }
    const fd =
      mappings === undefined || key === ""
        ? openUserNamespace(this.#pid, pointer)
        : makeUserNamespace(linesOf(mappings), pointer);
    this.#opened.push(new OwnedDescriptor(fd));
    this.#byMappings.set(key, fd);
    return fd;
  }
}

/** Returns undefined if the mount has the mappings of the container's user namespace. */
function mappingsOf(
  { mount }: MountRequest,
  option: IdMapOption | undefined,
  plan: InitPlan,
): IdMappings | undefined {
  const { uidMappings = [], gidMappings = [] } = mount;
  if (uidMappings.length > 0) return { uidMappings, gidMappings };
  if (option?.mappings === undefined) return undefined;
  const parsed = parseIdMapOption(option.mappings, plan.config.linux);
  // The rules of the config have refused any other.
  return typeof parsed === "string" ? undefined : parsed;
}

/** A joined user namespace has its own mappings, whatever the config lists. */
function isContainers(mappings: IdMappings, { namespaces, config }: InitPlan): boolean {
  if (!namespaces.created.has("user")) return false;
  const { uidMappings = [], gidMappings = [] } = config.linux ?? {};
  return linesOf(mappings).join(";") === linesOf({ uidMappings, gidMappings }).join(";");
}

function linesOf({ uidMappings, gidMappings }: IdMappings): MapLines {
  return [mapLines(uidMappings), mapLines(gidMappings)];
}

interface Mapping {
  readonly userNamespace: number;
  readonly recursive: boolean;
  readonly pointer: string;
}

/** open_tree(2), then mount_setattr(2) on the copy, which nobody has seen yet. */
function mappedCopy(
  plan: InitPlan,
  request: MountRequest,
  { userNamespace, recursive, pointer }: Mapping,
  opened: OwnedDescriptor[],
): number {
  const { source, destination } = request;
  return onBehalfOf(request.pointer, `bind ${source} on ${destination}`, () => {
    const copy = openCopy(request, opened);
    const errno = mapMountIds(copy, userNamespace, recursive);
    if (errno !== 0) throw idMapFailure({ source, destination, pointer, userNamespace, recursive }, errno);
    if (plan.namespaces.created.has("mount")) cutOffFromHost(copy, plan.config);
    return copy;
  });
}

function openCopy({ source, options }: MountRequest, opened: OwnedDescriptor[]): number {
  const copy = syscall("open_tree", [AT_FDCWD, cString(source), copyFlags(options)], [source]);
  opened.push(new OwnedDescriptor(copy));
  return copy;
}

/** Copies the sources of the other bind mounts, for a container that has left the host's mounts behind already. */
export function prepareBindCopies(
  program: Program,
  { config }: InitPlan,
  requests: readonly MountRequest[],
  opened: OwnedDescriptor[],
): void {
  for (const request of requests) {
    const { source, destination, pointer } = request;
    if (!isMadeOfSource(request) || request.opened !== undefined) continue;
    onBehalfOf(pointer, `bind ${source} on ${destination}`, () => {
      const copy = openCopy(request, opened);
      cutOffFromHost(copy, config);
      request.opened = program.descriptor(copy);
    });
    request.isCopy = true;
  }
}

/** Makes the copy no peer of the host's mount. A copy that init makes is none, since init's mounts are cut off before. */
function cutOffFromHost(copy: number, { linux }: Config): void {
  const wanted = parsePropagation(linux?.rootfsPropagation ?? "")?.type ?? MS_SLAVE;
  if (wanted === MS_SHARED) return;
  const errno = setTreePropagation(copy, wanted === MS_UNBINDABLE ? MS_PRIVATE : wanted);
  if (errno !== 0) throw new SyscallError("mount_setattr", errnoName(errno), ["the copy"]);
}
