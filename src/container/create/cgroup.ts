import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import {
  type Cgroup,
  checkFitness,
  createCgroup,
  openCgroup,
  removeCreated,
  requiresCgroup,
} from "../../cgroup/create.ts";
import { applyDeviceRules } from "../../cgroup/devices/rules.ts";
import { withDelegationHint } from "../../cgroup/errors.ts";
import { applyResources } from "../../cgroup/limits/apply.ts";
import { type CgroupOwner, delegateCgroup } from "../../cgroup/ownership.ts";
import { callerCgroup } from "../../cgroup/path.ts";
import { killCgroup, removeCgroup } from "../../cgroup/remove.ts";
import { enterSubCgroup } from "../../cgroup/sub-cgroup.ts";
import type { ContainerScope } from "../../cgroup/systemd/scope.ts";
import { RuntsError } from "../../errors.ts";
import { annotationPointer, DELEGATE_CGROUP } from "../../spec/annotations.ts";
import { isNewNamespace } from "../../spec/namespaces.ts";
import type { Linux, LinuxResources } from "../../spec/types.ts";
import type { GlobalOptions } from "../context.ts";

/** The cgroup of a container that is being created. There is none if the caller wants none, or may have none. */
export class ContainerCgroup {
  readonly #context: GlobalOptions;
  readonly #linux: Linux;
  readonly #rootless: boolean;
  #cgroup: Cgroup | undefined;
  #scope: ContainerScope | undefined;

  constructor(context: GlobalOptions, linux: Linux, rootless: boolean) {
    this.#context = context;
    this.#linux = linux;
    this.#rootless = rootless;
  }

  get directory(): string | undefined {
    return this.#cgroup?.directory ?? this.#scope?.directory;
  }

  /** The cgroup that the container sees as its own: that of init, which may be below the one with the limits. */
  get ofContainer(): string | undefined {
    return this.#scope?.ofInit ?? this.directory;
  }

  /**
   * Returns the cgroup to record before it is made; empty for none. It must be empty: if create is killed then, `delete` kills everything in it.
   */
  cgroupToRecord(directory: string): string {
    try {
      checkFitness(directory);
      return directory;
    } catch (error) {
      this.#continueWithoutCgroup(error);
      return "";
    }
  }

  /** Goes on without a cgroup where the caller may have none, and the config asks for nothing that needs one. */
  #continueWithoutCgroup(error: unknown): void {
    const { resources, cgroupsPath } = this.#linux;
    if (!this.#rootless || requiresCgroup(resources, cgroupsPath)) throw error;
    const { log } = this.#context;
    log.debug(`no cgroup: ${error instanceof Error ? error.message : error}`);
    if (!isNewNamespace(this.#linux, "pid")) log.warn(UNKILLABLE);
  }

  /** Makes the cgroup. A scope of systemd is made by `enter` instead, since it needs a process. */
  make(directory: string, scope: ContainerScope | undefined): void {
    this.#scope = scope;
    if (scope !== undefined) return;
    const { resources, cgroupsPath } = this.#linux;
    if (directory === "") {
      refuseLimits(resources);
      return;
    }
    try {
      this.#cgroup = createCgroup(directory, resources, { rootless: this.#rootless });
    } catch (error) {
      if (this.#rootless && requiresCgroup(resources, cgroupsPath))
        throw withDelegationHint(error, directory, this.#linux);
      this.#continueWithoutCgroup(error);
    }
  }

  /** Opens the cgroup, so that init can be cloned into it. */
  open(): OwnedDescriptor | undefined {
    return this.#cgroup === undefined ? undefined : new OwnedDescriptor(openCgroup(this.#cgroup));
  }

  /** Has systemd make the scope, if there is one, and move init into it. Otherwise init has been cloned into its cgroup. */
  enter(pid: number): void {
    if (this.#scope === undefined) return;
    this.#context.log.debug(`runtime: have systemd make ${this.#scope.saved.unit}`, "/linux/cgroupsPath");
    this.#scope.start(pid);
    this.#cgroup = { directory: this.#scope.directory, created: [] };
    this.applyLimits();
  }

  /** crun's annotation: moves init to a cgroup below its own, which the container's user owns. There are no limits on it. */
  enterDelegated(path: string, user: CgroupOwner): void {
    const pointer = annotationPointer(DELEGATE_CGROUP);
    const above = this.ofContainer;
    if (above === undefined)
      throw new RuntsError(`${pointer}: the container has no cgroup`, { operation: "create", pointer });
    const directory = `${above}/${path}`;
    enterSubCgroup(directory, user.pid, pointer);
    delegateCgroup(directory, user, this.#rootless);
  }

  /** Sets limits and device rules, while init is being cloned, and before it does anything. */
  applyLimits(): void {
    if (this.#cgroup === undefined) return;
    const { directory, created } = this.#cgroup;
    const { resources } = this.#linux;
    applyResources(directory, resources, { rootless: this.#rootless });
    applyDeviceRules(directory, resources?.devices, {
      rootless: this.#rootless,
      isNew: created.includes(directory),
      warn: (message) => this.#context.log.warn(message),
    });
  }

  /** The cgroup that a cgroup mount shows. A rootless container never sees the caller's own, which its user may write to (CVE-2023-25809). */
  visibleCgroup(): string | undefined {
    return (
      this.ofContainer ?? (this.#context.noCgroup === true && !this.#rootless ? callerCgroup() : undefined)
    );
  }

  /** The steps that undo `make`, each to be tried whatever becomes of the others. */
  undoSteps(): (() => void)[] {
    const cgroup = this.#cgroup;
    const scope = this.#scope;
    const removeScope = scope === undefined ? [] : [() => scope.remove()];
    if (cgroup === undefined) return removeScope;
    return [
      () => killCgroup(cgroup.directory),
      ...removeScope,
      () => removeCgroup(cgroup.directory),
      () => removeCreated(cgroup.created),
    ];
  }
}

/** Without a cgroup, init is the only process that the runtime can find. The words are runc's. */
const UNKILLABLE =
  "/linux/namespaces: Creating a rootless container with no cgroup and no private pid namespace. Such configuration is " +
  "strongly discouraged (as it is impossible to properly kill all container's processes)";

/** The caller wants no cgroup: limits would need one. */
function refuseLimits(resources: LinuxResources | undefined): void {
  if (!requiresCgroup(resources, undefined)) return;
  const pointer = "/linux/resources";
  throw new RuntsError(`${pointer}: limits can't be set with --cgroup-manager disabled`, { pointer });
}
