import { UNDO, withPurpose } from "../../../bindings/ffi/purpose.ts";
import { mkdirSync } from "../../../bindings/linux/directories.ts";
import { chmodSync, chownSync } from "../../../bindings/linux/files.ts";
import { cgroupPathFor, findCgroupMount } from "../../cgroup/path.ts";
import type { HostFacts } from "../../plan/init-plan.ts";
import { rootIds } from "../../plan/namespaces.ts";
import type { AllowedAnnotations } from "../../spec/annotations.ts";
import { outerId } from "../../spec/id-map.ts";
import type { Config, Linux, Process } from "../../spec/types.ts";
import { type Caller, isRootless } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import { initialState } from "../record/first-record.ts";
import { type ContainerLock, lockContainer } from "../record/lock.ts";
import {
  containerDirectory,
  makeContainerDirectory,
  removeContainerDirectory,
  type SavedState,
  saveConfig,
  writeState,
} from "../record/saved-state.ts";
import { ContainerCgroup } from "./cgroup.ts";
import { hostFacts } from "./host-facts.ts";
import { type OptionalFeatures, prepareOptionalFeatures } from "./optional-parts.ts";
import { removePidFile, writePidFile } from "./pid-file.ts";

/**
 * A container that `create` or `restore` makes: its directory, optional features, record and cgroup, in this order. `undo` takes them
 * back if the operation fails.
 */
export class NewContainer {
  readonly id: string;
  readonly caller: Caller;
  readonly directory: string;
  readonly cgroup: ContainerCgroup;
  readonly #context: GlobalOptions;
  readonly #rootless: boolean;
  #hasDirectory = false;
  #lock: ContainerLock | undefined;
  #features: OptionalFeatures | undefined;
  #allowed: AllowedAnnotations = {};
  #state: SavedState | undefined;
  /** Path of the pid file, once it is written. */
  #pidFile: string | undefined;

  constructor(context: GlobalOptions, id: string, linux: Linux, caller: Caller) {
    this.#context = context;
    this.id = id;
    this.caller = caller;
    this.directory = containerDirectory(context.root, id);
    this.#rootless = isRootless(context.rootless, caller);
    this.cgroup = new ContainerCgroup(context, linux, this.#rootless);
  }

  /** Makes and locks the container's directory. `config` are the bytes that were read and validated. */
  makeDirectory(config: Uint8Array): void {
    makeContainerDirectory(this.#context.root, this.id);
    this.#hasDirectory = true;
    saveConfig(this.directory, config);
    this.#lock = lockContainer(this.directory, this.id);
  }

  /**
   * Makes an empty root file system in the container's directory. It belongs to the user who makes mount points in it: root of the container's
   * user namespace, which may be another user than the caller.
   */
  makeRootfs({ linux = {} }: Config): void {
    const path = `${this.directory}/rootfs`;
    withPurpose("/root/path", "make an empty root file system", () => {
      mkdirSync(path);
      chmodSync(path, 0o755);
      if (!this.caller.privileged) return;
      const { uid, gid } = rootIds(linux);
      chownSync(path, outerId(uid, linux.uidMappings ?? []) ?? 0, outerId(gid, linux.gidMappings ?? []) ?? 0);
    });
  }

  /** undefined if somebody has removed the directory meanwhile. */
  get lock(): ContainerLock | undefined {
    return this.#lock;
  }

  /** Prepares the features that few configs ask for. Throws if the caller or the host lacks what they need. See prepareOptionalFeatures. */
  prepareFeatures(
    config: Config,
    process: Process,
    rootfs: string,
    allowed: AllowedAnnotations,
  ): OptionalFeatures {
    this.#allowed = allowed;
    const host = { caller: this.caller, rootless: this.#rootless, rootfs, allowed };
    this.#features = prepareOptionalFeatures(this.#context, this.id, config, process, host);
    return this.#features;
  }

  get features(): OptionalFeatures {
    if (this.#features === undefined) throw new Error("the features were not prepared yet");
    return this.#features;
  }

  /** Writes the first record before there is anything to undo: `delete --force` finds by it what a killed runtime has left. */
  record(config: Config, known: Pick<SavedState, "bundle" | "rootfs" | "keyring" | "pipes">): void {
    const { scope, resctrl, hostMount, seccomp } = this.features;
    const path = () => scope?.directory ?? cgroupPathFor(config, this.id, findCgroupMount());
    this.#state = initialState(config, {
      ...known,
      id: this.id,
      ownerUid: this.caller.uid,
      cgroup: this.#context.noCgroup === true ? "" : this.cgroup.cgroupToRecord(path()),
      ...(scope !== undefined && { scope: scope.saved }),
      ...(resctrl !== undefined && { resctrl: resctrl.saved }),
      ...(hostMount !== undefined && { hostMount: hostMount.saved }),
      ...(Object.keys(this.#allowed).length > 0 && { allowedAnnotations: this.#allowed }),
      hasListener: seccomp?.listener !== undefined,
    });
    this.writeRecord();
  }

  /** The record as it is now, whether it has been written or not. */
  get state(): SavedState {
    if (this.#state === undefined) throw new Error("there is no record yet");
    return this.#state;
  }

  changeRecord(changes: Partial<SavedState>): void {
    this.#state = { ...this.state, ...changes };
  }

  writeRecord(): void {
    writeState(this.directory, this.state);
  }

  /** Makes the cgroup that is recorded, and groups of resctrl. A scope of systemd is made later, when there is a process for it. */
  makeCgroup(): void {
    const { resctrl, scope } = this.features;
    resctrl?.make();
    this.cgroup.make(this.state.cgroup, scope);
  }

  /** Facts of the host for the plan. The cgroup has to be made already. */
  hostFacts(mountLabel: string): HostFacts {
    const { bundle, rootfs } = this.state;
    return hostFacts({
      bundle,
      rootfs,
      mountLabel,
      cgroup: this.cgroup.visibleCgroup(),
      inUserNamespace: this.caller.inUserNamespace,
      warn: (message) => this.#context.log.warn(message),
    });
  }

  /** Writes the pid file that an engine asked for. */
  writePidFile(path: string, pid: number): void {
    writePidFile(path, pid);
    this.#pidFile = path;
  }

  /** Closes what is open for the container, but for its lock. */
  closeFeatures(): void {
    this.features.netDevices?.close();
    this.features.scope?.close();
  }

  /**
   * Leaves the host as if nothing had been tried (runtime.md, Errors), in the order of `delete`. Each step is tried, whatever becomes of
   * the others. Their errors are warnings: the first error is the one to tell, and `delete --force` finds what is left by the record.
   */
  undo(endProcesses: () => void): void {
    const features = this.#features;
    const steps = [
      endProcesses,
      () => this.#pidFile !== undefined && removePidFile(this.#pidFile),
      ...this.cgroup.undoSteps(),
      () => features?.resctrl?.undo(),
      () => features?.hostMount?.remove(),
      () => features?.netDevices?.moveBack(),
      () => this.#hasDirectory && removeContainerDirectory(this.directory),
      () => features?.hooks?.poststop(),
      () => features?.scope?.close(),
      // Until here nobody else gets at what is left of the container.
      () => this.#lock?.release(),
    ];
    withPurpose("", UNDO, () => {
      for (const step of steps) {
        try {
          step();
        } catch (error) {
          this.#context.log.warn(`clean-up: ${error instanceof Error ? error.message : error}`);
        }
      }
    });
  }
}
