import { PR_SET_CHILD_SUBREAPER } from "../../bindings/abi/prctl.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import { mkdirSync, rmdirSync } from "../../bindings/linux/directories.ts";
import { realpathSync } from "../../bindings/linux/files.ts";
import { mountsOf } from "../../bindings/linux/mount-info.ts";
import type { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { killAndReap } from "../../bindings/linux/reap.ts";
import { sendWithDescriptors } from "../../bindings/stub/client.ts";
import type { Program } from "../../bindings/stub/program.ts";
import { externalAtRestore } from "../criu/external-mounts.ts";
import { RuntsError } from "../errors.ts";
import { onBehalfOf } from "../init/run-program.ts";
import { mountRequests } from "../plan/mounts/requests.ts";
import { makeRestoreRoot, protectMaskSource } from "../plan/restore-root.ts";
import { allowedAnnotations } from "../spec/annotations.ts";
import type { Config } from "../spec/types.ts";
import { inspectCaller, stdioFacts } from "./caller/caller.ts";
import type { GlobalOptions } from "./context.ts";
import { openBundle, rootfsOf } from "./create/bundle.ts";
import { NewContainer } from "./create/new-container.ts";
import { NamespacesToJoin } from "./criu/namespaces.ts";
import type { RestoreOptions } from "./criu/options.ts";
import { cgroupRoots, labelOptions, partsToRestore, setUpNetwork } from "./criu/parts.ts";
import { CriuProcess } from "./criu/process.ts";
import { CriuFiles, containerMounts, refuseUnsaved, warnUnprivileged } from "./criu/session.ts";
import { inheritedStreams, readStreamNames } from "./criu/streams.ts";
import { deleteContainer } from "./delete.ts";
import { startTimeOf } from "./process/process-status.ts";
import { checkId, type SavedState } from "./record/saved-state.ts";
import { Foreground, foregroundTerminal, holdForwardedSignals } from "./stdio/foreground.ts";
import { type TerminalReceiver, terminalReceiver } from "./stdio/receivers.ts";

/**
 * Makes a container anew from the images of a checkpoint, whose processes run on where they were. In the foreground it waits for
 * the end of init and deletes the container, as `run` does.
 */
export function restoreContainer(context: GlobalOptions, options: RestoreOptions): number {
  if (options.detach) {
    restore(context, options);
    return 0;
  }
  if (!options.noSubreaper)
    syscall("prctl", [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0], ["PR_SET_CHILD_SUBREAPER"]);
  holdForwardedSignals();
  const terminal = foregroundTerminal();
  const state = restore(context, options, terminal.open);
  let foreground: Foreground | undefined;
  try {
    foreground = new Foreground(state.pid, terminal.relay());
    return foreground.wait().exitCode;
  } finally {
    foreground?.close();
    deleteContainer(context, options.id, { force: true, only: state });
  }
}

/** On failure nothing of the container is left. */
function restore(
  context: GlobalOptions,
  options: RestoreOptions,
  openTerminal?: () => TerminalReceiver,
): SavedState {
  // Read the config, and connect to the one who waits for a terminal.
  checkId(options.id);
  warnUnprivileged(context, "restore");
  const { config, bytes, bundle } = openBundle(options.bundle, undefined);
  const { process } = config;
  if (process === undefined) throw new RuntsError("/process: is required", { pointer: "/process" });
  const allowed = allowedAnnotations(config, context.allowedAnnotations ?? []);
  const receiver = terminalReceiver(process, options.consoleSocket, openTerminal);
  const container = new NewContainer(context, options.id, config.linux ?? {}, inspectCaller());
  let criu: CriuProcess | undefined;
  let sentTerminal = false;
  try {
    // Check what criu can't restore, take the id, and check what the config asks for beside the images.
    refuseUnsaved("restore", config);
    const rootfs = rootfsOf(config, bundle);
    const streams = inheritedStreams(readStreamNames(options.imagePath));
    const files = new CriuFiles(options, "restore.log");
    files.make({ withImages: false });
    const joined = new NamespacesToJoin(config);
    container.makeDirectory(bytes);
    const parts = partsToRestore(config, process);
    container.prepareFeatures(parts.config, parts.process, rootfs, allowed);

    // Record all that `delete --force` has to undo, before there is anything to undo. There is no keyring: criu restores none.
    const { pipes } = stdioFacts(receiver !== undefined, 0);
    container.record(config, { bundle, rootfs, ...(pipes !== undefined && { pipes }) });

    // Make the cgroup, and start criu in it: the restored processes are its children at first.
    container.makeCgroup();
    container.cgroup.applyLimits();
    const facts = container.hostFacts("");
    const requests = mountRequests({ config, facts });
    const root = `${container.directory}/criu-root`;
    withPurpose("", "make a mount point for the restored root", () => mkdirSync(root, { mode: 0o755 }));
    criu = startCriu(context, container, files, joined, {
      streams: streams.map(({ stream }) => stream),
      prepare: (program) => {
        makeRestoreRoot(program, facts, requests, root);
        protectMaskSource(program, config.linux?.maskedPaths ?? []);
      },
    });
    container.cgroup.enter(criu.pid);
    container.changeRecord({
      cgroup: container.cgroup.directory ?? "",
      criu: { pid: criu.pid, startTime: startTimeOf(criu.pid) },
    });
    // Written before criu gets its request: until then, criu ends at once if the runtime dies.
    container.writeRecord();

    // Have criu restore the processes. It reports each step, and goes on when the runtime has answered.
    const version = criu.version();
    const copies = criu.streams;
    const streamFds = streams.map(({ key }, index) => ({ key, fd: copies[index] ?? -1 }));
    const { joinNamespaces, inheritFds } = joined.options(criu.descriptors, version);
    const request = {
      ...files.options(config, criu.directories),
      ...labelOptions(options, version),
      joinNamespaces,
      root,
      tcpClose: options.tcpClose,
      evasiveDevices: true,
      restoreSibling: true,
      cgroupRoots: cgroupRoots(criu.pid),
      external: externalAtRestore(containerMounts(config, requests), {
        mounts: mountsOf("self"),
        realPath: ({ source, pointer }) =>
          onBehalfOf(`${pointer}/source`, `bind ${source}`, () => realpathSync(source)),
      }),
      inheritFds: [...inheritFds, ...streamFds.filter(({ fd }) => fd >= 0)],
    };
    context.log.debug(`criu ${version.text}: ${JSON.stringify(request)}`);
    files.run(criu, "RESTORE", request, (script, pid, descriptor) => {
      if (script === "setup-namespaces") setUpNamespaces(container, config, pid);
      if (script === "post-restore") recordRestored(container, pid, options.pidFile);
      if (script === "orphan-pts-master" && descriptor !== undefined && receiver !== undefined) {
        sendTerminal(receiver, descriptor);
        sentTerminal = true;
      }
    });

    // The processes run.
    withPurpose("", "remove the mount point of the restored root", () => rmdirSync(root));
    receiver?.socket.close();
    if (sentTerminal) receiver?.connected?.();
    container.closeFeatures();
    container.lock?.release();
    return container.state;
  } catch (error) {
    container.undo(() => {
      if (criu !== undefined) endRestored(criu, container.state.pid);
    });
    throw error;
  } finally {
    receiver?.socket.close();
  }
}

function startCriu(
  context: GlobalOptions,
  { cgroup }: NewContainer,
  { directories }: CriuFiles,
  joined: NamespacesToJoin,
  options: { readonly streams: readonly number[]; readonly prepare: (program: Program) => void },
): CriuProcess {
  const namespaces: OwnedDescriptor[] = [];
  const cgroupDirectory = cgroup.open();
  try {
    joined.open(namespaces);
    return new CriuProcess({
      ...options,
      program: context.criu,
      inheritsStdio: true,
      cgroup: cgroupDirectory?.number,
      directories,
      descriptors: namespaces.map(({ number }) => number),
    });
  } finally {
    for (const descriptor of [...namespaces, cgroupDirectory]) descriptor?.close();
  }
}

/** The container's namespaces are there, and nothing runs in them yet. */
function setUpNamespaces(container: NewContainer, config: Config, pid: number): void {
  const { cgroup, features } = container;
  container.changeRecord({ pid, startTime: startTimeOf(pid) });
  features.resctrl?.enter(pid);
  setUpNetwork(config, pid);
  features.netDevices?.move(pid);
  if (cgroup.directory !== undefined) features.delegate?.(cgroup.directory, pid);
  features.hooks?.run(container.state);
}

function sendTerminal({ socket }: TerminalReceiver, master: number): void {
  withPurpose("/process/terminal", "pass the terminal's master on", () =>
    sendWithDescriptors(socket.number, new TextEncoder().encode("/dev/ptmx"), [master]),
  );
}

/** Before the processes run on: whatever happens to the runtime from here on, the container is there. */
function recordRestored(container: NewContainer, pid: number, pidFile: string | undefined): void {
  const startTime = startTimeOf(pid);
  container.changeRecord({ pid, startTime, creator: null, created: new Date().toISOString() });
  if (pidFile !== undefined) container.writePidFile(pidFile, pid);
  container.writeRecord();
}

function endRestored(criu: CriuProcess, pid: number): void {
  try {
    criu.end();
  } finally {
    if (pid > 0) killAndReap(pid);
  }
}
