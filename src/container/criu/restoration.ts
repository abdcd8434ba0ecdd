import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { mkdirSync, rmdirSync } from "../../../bindings/linux/directories.ts";
import { readFileSync, realpathSync } from "../../../bindings/linux/files.ts";
import { mountsOf } from "../../../bindings/linux/mount-info.ts";
import type { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { killAndReap } from "../../../bindings/linux/reap.ts";
import { sendWithDescriptors } from "../../../bindings/stub/client.ts";
import { cgroupPathFor, findCgroupMount } from "../../cgroup/path.ts";
import { externalAtRestore } from "../../criu/external-mounts.ts";
import type { CriuOptions, CriuVersion } from "../../criu/messages.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import type { HostFacts } from "../../plan/init-plan.ts";
import { type MountRequest, mountRequests } from "../../plan/mounts/requests.ts";
import { makeRestoreRoot, protectMaskSource } from "../../plan/restore-root.ts";
import { readRegularFile } from "../../spec/regular-file.ts";
import type { Config, Process } from "../../spec/types.ts";
import { type Caller, inspectCaller, isRootless, stdioFacts } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import { ContainerCgroup } from "../create/cgroup.ts";
import { hostFacts, rootfsOf } from "../create/host-facts.ts";
import type { OptionalFeatures } from "../create/optional-parts.ts";
import { writePidFile } from "../create/pid-file.ts";
import { undoAll } from "../create/undo.ts";
import { startTimeOf } from "../process/process-status.ts";
import { type ContainerLock, lockContainer } from "../record/lock.ts";
import {
  initialState,
  makeContainerDirectory,
  removeContainerDirectory,
  type SavedState,
  saveConfig,
  writeState,
} from "../record/saved-state.ts";
import type { TerminalReceiver } from "../stdio/receivers.ts";
import { NamespacesToJoin } from "./namespaces.ts";
import type { RestoreOptions } from "./options.ts";
import { prepareRestoreParts, setUpNetwork } from "./parts.ts";
import { CriuProcess } from "./process.ts";
import { CriuFiles, containerMounts, DESCRIPTORS_FILE, refuseUnsaved } from "./session.ts";
import { inheritedStreams } from "./streams.ts";

/** One run of restore: what has been made so far, for the case that it has to be undone. */
export class Restoration {
  readonly #context: GlobalOptions;
  readonly #options: RestoreOptions;
  readonly #config: Config;
  readonly #receiver: TerminalReceiver | undefined;
  readonly #files: CriuFiles;
  readonly #caller: Caller = inspectCaller();
  readonly #cgroup: ContainerCgroup;
  #directory = "";
  #parts: OptionalFeatures | undefined;
  #criu: CriuProcess | undefined;
  #state: SavedState | undefined;
  #lock: ContainerLock | undefined;
  #sentTerminal = false;

  constructor(
    context: GlobalOptions,
    options: RestoreOptions,
    config: Config,
    receiver: TerminalReceiver | undefined,
  ) {
    this.#context = context;
    this.#options = options;
    this.#config = config;
    this.#receiver = receiver;
    this.#files = new CriuFiles(options, "restore.log");
    this.#cgroup = new ContainerCgroup(context, config.linux ?? {}, this.#rootless);
  }

  get #rootless(): boolean {
    return isRootless(this.#context.rootless, this.#caller);
  }

  /** `bytes` are the config as it was read. On failure nothing of the container is left. */
  run(process: Process, bytes: Uint8Array): SavedState {
    const { id, bundle, imagePath } = this.#options;
    refuseUnsaved("restore", this.#config);
    const rootfs = rootfsOf(this.#config, bundle);
    const streams = readDescriptors(imagePath);
    this.#files.make({ withImages: false });
    this.#directory = makeContainerDirectory(this.#context.root, id);
    try {
      saveConfig(this.#directory, bytes);
      return this.#restore(process, rootfs, streams);
    } catch (error) {
      this.#undo();
      throw error;
    }
  }

  #restore(process: Process, rootfs: string, streams: readonly string[]): SavedState {
    this.#lock = lockContainer(this.#directory, this.#options.id);
    const parts = prepareRestoreParts(this.#context, this.#options.id, this.#config, process, {
      caller: this.#caller,
      rootless: this.#rootless,
      rootfs,
    });
    this.#parts = parts;
    this.#saveFirst(rootfs, parts);
    parts.resctrl?.make();
    this.#cgroup.make(this.#saved.cgroup, parts.scope);
    this.#cgroup.confine();
    const facts = this.#facts(rootfs);
    const requests = mountRequests({ config: this.#config, facts });
    const joined = new NamespacesToJoin(this.#config);
    const inherited = inheritedStreams(streams);
    const { criu, opened, handed, copied } = this.#startCriu(facts, requests, joined, inherited);
    const version = criu.version();
    const options = {
      ...this.#files.options(this.#config, opened),
      ...this.#labels(version),
      ...joined.options(handed, version),
      root: this.#root,
      tcpClose: this.#options.tcpClose,
      evasiveDevices: true,
      restoreSibling: true,
      cgroupRoots: cgroupRoots(criu.pid),
      external: externalAtRestore(containerMounts(this.#config, requests), {
        mounts: mountsOf("self"),
        realPath: ({ source, pointer }) =>
          onBehalfOf(`${pointer}/source`, `bind ${source}`, () => realpathSync(source)),
      }),
    };
    const ofStreams = inherited.map(({ key }, index) => ({ key, fd: copied[index] ?? -1 }));
    const inheritFds = [...options.inheritFds, ...ofStreams.filter(({ fd }) => fd >= 0)];
    this.#context.log.debug(`criu ${version.text}: ${JSON.stringify({ ...options, inheritFds })}`);
    this.#files.run(criu, "RESTORE", { ...options, inheritFds }, (script, pid, descriptor) =>
      this.#notified(script, pid, descriptor),
    );
    withPurpose("", "remove the mount point of the restored root", () => rmdirSync(this.#root));
    this.#receiver?.socket.close();
    if (this.#sentTerminal) this.#receiver?.connected?.();
    parts.netDevices?.close();
    parts.scope?.close();
    this.#lock?.release();
    return this.#saved;
  }

  /** Where criu mounts the root file system before the container's processes enter it. */
  get #root(): string {
    return `${this.#directory}/criu-root`;
  }

  get #saved(): SavedState {
    if (this.#state === undefined) throw new Error("the state was not saved yet");
    return this.#state;
  }

  /** The record that `delete --force` undoes everything by is written before there is anything to undo. */
  #saveFirst(rootfs: string, { resctrl, scope }: OptionalFeatures): void {
    const { id, bundle } = this.#options;
    const cgroup =
      this.#context.noCgroup === true
        ? ""
        : this.#cgroup.cgroupToRecord(scope?.directory ?? cgroupPathFor(this.#config, id, findCgroupMount()));
    const { pipes } = stdioFacts(this.#receiver !== undefined, 0);
    this.#state = {
      ...initialState(this.#config, {
        id,
        bundle,
        rootfs,
        ownerUid: this.#caller.uid,
        cgroup,
        ...(scope !== undefined && { scope: scope.saved }),
        ...(resctrl !== undefined && { resctrl: resctrl.saved }),
        // And no keyring: criu restores none, the processes have the caller's.
        hasListener: false,
      }),
      ...(pipes !== undefined && { pipes }),
    };
    writeState(this.#directory, this.#state);
  }

  #facts(rootfs: string): HostFacts {
    const warn = (message: string) => this.#context.log.warn(message);
    return hostFacts({
      bundle: this.#options.bundle,
      rootfs,
      cgroup: this.#cgroup.visibleCgroup(),
      mountLabel: "",
      inUserNamespace: this.#caller.inUserNamespace,
      warn,
    });
  }

  #startCriu(
    facts: HostFacts,
    requests: readonly MountRequest[],
    joined: NamespacesToJoin,
    inherited: readonly { readonly stream: number }[],
  ) {
    withPurpose("", "make a mount point for the restored root", () => mkdirSync(this.#root, { mode: 0o755 }));
    const { directories } = this.#files;
    const namespaces: OwnedDescriptor[] = [];
    const cgroup = this.#cgroup.open();
    let criu: CriuProcess;
    try {
      joined.open(namespaces);
      criu = new CriuProcess({
        program: this.#context.criu,
        inheritsStdio: true,
        cgroup: cgroup?.number,
        prepare: (program) => {
          makeRestoreRoot(program, facts, requests, this.#root);
          protectMaskSource(program, this.#config.linux?.maskedPaths ?? []);
        },
        directories,
        descriptors: namespaces.map(({ number }) => number),
        streams: inherited.map(({ stream }) => stream),
      });
    } finally {
      for (const descriptor of [...namespaces, cgroup]) descriptor?.close();
    }
    this.#criu = criu;
    this.#cgroup.enter(criu.pid);
    this.#state = { ...this.#saved, cgroup: this.#cgroup.directory ?? "" };
    const [end, endOfHanded] = [directories.length, directories.length + namespaces.length];
    return {
      criu,
      opened: criu.descriptors.slice(0, end),
      handed: criu.descriptors.slice(end, endOfHanded),
      copied: criu.descriptors.slice(endOfHanded),
    };
  }

  #labels({ number, text }: CriuVersion): Partial<CriuOptions> {
    const { lsmProfile, lsmMountContext } = this.#options;
    if ((lsmProfile !== undefined || lsmMountContext !== undefined) && number < 31600) {
      throw new RuntsError(`--lsm-profile and --lsm-mount-context need criu 3.16 or later, this is ${text}`, {
        operation: "restore",
        path: "criu",
      });
    }
    return {
      ...(lsmProfile !== undefined && { lsmProfile }),
      ...(lsmMountContext !== undefined && { lsmMountContext }),
    };
  }

  #notified(script: string, pid: number, descriptor: number | undefined): void {
    if (script === "setup-namespaces") this.#setUpNamespaces(pid);
    if (script === "post-restore") this.#saveRestored(pid);
    if (script === "orphan-pts-master" && descriptor !== undefined) this.#sendTerminal(descriptor);
  }

  /** The container's namespaces are there, and nothing runs in them yet. */
  #setUpNamespaces(pid: number): void {
    this.#state = { ...this.#saved, pid, startTime: startTimeOf(pid) };
    const { directory } = this.#cgroup;
    this.#parts?.resctrl?.enter(pid);
    setUpNetwork(this.#config, pid);
    this.#parts?.netDevices?.move(pid);
    if (directory !== undefined) this.#parts?.delegate?.(directory, pid);
    this.#parts?.hooks?.run(this.#state);
  }

  /** Before the processes run on: whatever happens to the runtime from here on, the container is there. */
  #saveRestored(pid: number): void {
    this.#state = {
      ...this.#saved,
      pid,
      startTime: startTimeOf(pid),
      creator: null,
      created: new Date().toISOString(),
    };
    if (this.#options.pidFile !== undefined) writePidFile(this.#options.pidFile, pid);
    writeState(this.#directory, this.#state);
  }

  #sendTerminal(master: number): void {
    if (this.#receiver === undefined) return;
    const socket = this.#receiver.socket.number;
    withPurpose("/process/terminal", "pass the terminal's master on", () =>
      sendWithDescriptors(socket, new TextEncoder().encode("/dev/ptmx"), [master]),
    );
    this.#sentTerminal = true;
  }

  #undo(): void {
    const pid = this.#state?.pid ?? 0;
    undoAll(this.#context, [
      () => this.#criu?.end(),
      () => pid > 0 && killAndReap(pid),
      ...this.#cgroup.undoing(),
      () => this.#parts?.resctrl?.undo(),
      () => this.#parts?.netDevices?.moveBack(),
      () => removeContainerDirectory(this.#directory),
      () => this.#parts?.hooks?.poststop(),
      () => this.#parts?.scope?.close(),
      // Until here nobody else gets at what is left of it.
      () => this.#lock?.release(),
    ]);
  }
}

/** The file of `checkpoint`. */
function readDescriptors(imagePath: string): string[] {
  const path = `${imagePath}/${DESCRIPTORS_FILE}`;
  const text = onBehalfOf("", `read ${path}, which a checkpoint has beside its images`, () =>
    readRegularFile(path).toString("utf8"),
  );
  const names = parseNames(text);
  if (names !== undefined) return names;
  throw new RuntsError(`${path} is damaged: it is no list of names`, { operation: "restore", path });
}

function parseNames(text: string): string[] | undefined {
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) && names.every((name) => typeof name === "string") ? names : undefined;
  } catch {
    return undefined;
  }
}

/** The place of the container's cgroup in each hierarchy that the host has, v1 ones too: where criu was started. */
function cgroupRoots(pid: number): { readonly controller: string; readonly path: string }[] {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8")
    .split("\n")
    .map((line) => /^\d+:([^:]*):(.*)$/.exec(line))
    .filter((match) => match !== null)
    .flatMap(([, controllers = "", path = ""]) =>
      controllers.split(",").map((controller) => ({ controller, path })),
    );
}
