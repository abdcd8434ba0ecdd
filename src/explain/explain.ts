import { realpathSync } from "node:fs";
import { capabilityNames } from "../../bindings/abi/capability.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { type SyscallName, substituteKernel } from "../../bindings/ffi/syscall.ts";
import { FileError } from "../../bindings/linux/file-call.ts";
import { substituteRouteSockets } from "../../bindings/linux/netlink.ts";
import { effectiveUid, ownPid } from "../../bindings/linux/own-process.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import { absolutePath } from "../../bindings/linux/paths.ts";
import { tapStubs } from "../../bindings/stub/client.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { type Caller, inspectCaller, managerOf } from "../container/caller/caller.ts";
import type { CreateOptions, GlobalOptions } from "../container/context.ts";
import { createContainer } from "../container/create.ts";
import { startContainer } from "../container/start.ts";
import { RuntsError } from "../errors.ts";
import { mapLines } from "../init/id-mappings.ts";
import { ContainerView } from "../inspect/container-view.ts";
import { hasNamespace, namespacesOf } from "../plan/init-plan.ts";
import { parseConfig, readConfigAndBytes } from "../spec/config.ts";
import { withDefaultMappings } from "../spec/default-mappings.ts";
import { namespaceFile } from "../spec/namespaces.ts";
import type { Config } from "../spec/types.ts";
import { joinedNetwork } from "./joined-network.ts";
import { Names } from "./names.ts";
import { type Explanation, Recorder } from "./operation.ts";
import { runtimeArguments } from "./runtime-arguments.ts";
import { SimulatedKernel } from "./simulation/kernel.ts";
import { SimulatedNamespace } from "./simulation/namespace.ts";
import { mappingsOf } from "./simulation/processes.ts";
import { SimulatedStubs } from "./simulation/stubs.ts";
import { simulateSystemd } from "./simulation/systemd.ts";

export interface ExplainOptions extends CreateOptions {
  /** The rights that create would have: the caller's own, or root's. */
  readonly as: "root" | "caller";
}

/**
 * Tells what create and start would do, without doing any of it: both run here as they are, on a simulated kernel that changes nothing
 * (simulation/kernel.ts) and on simulated stubs that run nothing (simulation/stubs.ts). `prepare` runs first, on the same kernel.
 */
export async function explainContainer(
  context: GlobalOptions,
  options: ExplainOptions,
  prepare: () => void,
): Promise<Explanation> {
  const { bundle, configFile, configText } = options;
  const config =
    configText === undefined
      ? readConfigAndBytes(bundle, configFile).config
      : parseConfig(configText, "config");
  const caller = callerFor(options.as);
  const simulation = new Simulation(config, context, options, caller);
  const error = await simulation.run(prepare);
  return {
    id: options.id,
    bundle: options.bundle,
    operations: simulation.operations(),
    warnings: [...simulation.recorder.warnings],
    notes: [...simulation.recorder.notes],
    ...(error !== undefined && { error }),
  };
}

function callerFor(as: "root" | "caller"): Caller {
  const caller = inspectCaller();
  if (as === "caller" || caller.privileged) return caller;
  return {
    ...caller,
    uid: 0,
    gid: 0,
    privileged: true,
    inUserNamespace: false,
    permitted: (1n << BigInt(Math.min(capabilityNames.length, caller.lastCapability + 1))) - 1n,
    canSetGroups: true,
  };
}

class Simulation {
  readonly recorder = new Recorder();
  readonly #names = new Names();
  readonly #config: Config;
  readonly #context: GlobalOptions;
  readonly #options: ExplainOptions;
  readonly #caller: Caller;
  readonly #kernel: SimulatedKernel;
  readonly #stubs: SimulatedStubs;
  /** Whether `start` is connecting to init, which then goes on. */
  #released = false;

  constructor(config: Config, context: GlobalOptions, options: ExplainOptions, caller: Caller) {
    this.#config = config;
    this.#options = options;
    this.#caller = caller;
    const { warnings } = this.recorder;
    const warn = (message: string) => {
      warnings.add(message);
    };
    const log = { debug: () => undefined, info: warn, warn, error: warn };
    this.#context = { ...context, keepFilters: false, log };
    const asRoot = caller.privileged && effectiveUid() !== 0;
    this.#kernel = new SimulatedKernel(this.#names, (...observed) => this.#observe(...observed), asRoot);
    this.#kernel.deniesBpf = !caller.privileged || caller.inUserNamespace;
    const view = new ContainerView(config, options.bundle, rootfsPath(config, options.bundle));
    this.#stubs = new SimulatedStubs(this.#names, this.recorder, this.#kernel, view);
    this.#kernel.onConnect = (path) => {
      if (path.endsWith("/start.sock")) this.#released = true;
    };
    this.#setProcesses();
    this.#setNetworks();
  }

  /** Runs create and start; returns the error that they would end with. */
  async run(prepare: () => void): Promise<Explanation["error"]> {
    const { networks } = this.#kernel;
    const joined = joinedNetwork(this.#config, this.recorder.notes);
    if (joined !== undefined) networks.container = new SimulatedNamespace(joined);
    const endSystemd =
      this.#context.systemdCgroup === true
        ? simulateSystemd(managerOf(this.#caller), this.recorder, this.#kernel)
        : undefined;
    substituteKernel(this.#kernel.call);
    substituteRouteSockets(networks.openSocket);
    tapStubs(this.#stubs);
    try {
      prepare();
      const openTerminal = () => ({
        socket: new OwnedDescriptor(this.#kernel.given("the console socket")),
      });
      const isTerminal = this.#config.process?.terminal === true && this.#options.consoleSocket === undefined;
      createContainer(
        this.#context,
        { ...this.#options, caller: this.#caller },
        isTerminal ? openTerminal : undefined,
      );
      this.recorder.step = 6;
      await startContainer(this.#context, this.#options.id, { notify: "by nobody" });
      return undefined;
    } catch (error) {
      if (error instanceof RuntsError) return { message: error.message, pointer: error.pointer ?? "" };
      // create would print these as they are, too.
      if (error instanceof SyscallError || error instanceof FileError)
        return { message: error.message, pointer: "" };
      throw error;
    } finally {
      substituteKernel(undefined);
      substituteRouteSockets(undefined);
      tapStubs(undefined);
      networks.close();
      endSystemd?.();
      if (this.#kernel.files.assumesCgroups)
        this.recorder.notes.add(
          "/sys/fs/cgroup is not cgroup v2 here: a host is assumed where it is, with all controllers enabled",
        );
    }
  }

  operations(): Explanation["operations"] {
    // A register may be named after a descriptor, whose own angle brackets are one pair too many.
    const named = (text: string) =>
      this.#names
        .named(text)
        .replace(/<<([^<>]*)>([^<>]*)>/g, "<$1$2>")
        .replaceAll(`.runts-${ownPid()}"`, '.runts-<pid of runts>"');
    return this.recorder.operations.map((operation) => ({
      ...operation,
      purpose: named(operation.purpose),
      args: operation.args.map(named),
      ...(operation.result !== undefined && { result: named(operation.result) }),
      ...(operation.if !== undefined && { if: { ...operation.if, result: named(operation.if.result) } }),
    }));
  }

  #setProcesses(): void {
    const { uidMappings = [], gidMappings = [] } =
      withDefaultMappings(this.#config, this.#caller).linux ?? {};
    const namespaces = namespacesOf(this.#config);
    const joined = mappingsOf(namespaces.joined.get("user")?.path ?? "");
    const { processes } = this.#kernel;
    processes.maps = joined ?? { uid: mapLines(uidMappings), gid: mapLines(gidMappings) };
    if (!hasNamespace(namespaces, "user"))
      processes.maps = { uid: "0 0 4294967295\n", gid: "0 0 4294967295\n" };
    processes.ownNamespaces = new Set(
      [...namespaces.created, ...namespaces.joined.keys()].map(namespaceFile),
    );
    processes.joinedNamespaces = new Map(
      [...namespaces.joined].map(([type, { path }]) => [namespaceFile(type), path]),
    );
  }

  #setNetworks(): void {
    const { networks } = this.#kernel;
    const { permitted } = this.#caller;
    networks.mayChange = ((permitted >> BigInt(capabilityNames.indexOf("CAP_NET_ADMIN"))) & 1n) === 1n;
    networks.onChange = (args) => this.recorder.addOwn("sendto", args);
  }

  #observe(call: SyscallName, args: readonly NativeArgument[], path: string): void {
    const releases = this.#released && call === "connect";
    if (releases) this.recorder.step = 8;
    this.recorder.addOwn(call, runtimeArguments(call, args, path));
    if (!releases) return;
    this.#released = false;
    this.#stubs.started();
  }
}

function rootfsPath({ root }: Config, bundle: string): string {
  const path = root.path.startsWith("/") ? root.path : absolutePath(`${bundle}/${root.path}`);
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
