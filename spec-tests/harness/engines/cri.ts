import type { NetConnectOpts } from "node:net";
import { grpcCall } from "./grpc.ts";
import { Fields, map, message, number, text, texts } from "./protobuf.ts";

/** NamespaceMode of the CRI: shared by the pod, of the container alone, the host's. */
export const POD = 0;
const CONTAINER = 1;
export const NODE = 2;

export interface PodOptions {
  readonly name: string;
  readonly handler?: string;
  readonly hostname?: string;
  readonly logs: string;
  readonly sysctls?: Readonly<Record<string, string>>;
  /** A namespace of its own (POD) if nothing is said. */
  readonly namespaces?: { readonly network?: number; readonly pid?: number; readonly ipc?: number };
  /** The ids of the host that are 0 and following in a user namespace of the pod. */
  readonly userNamespace?: IdRange;
  readonly privileged?: boolean;
  /** A path of cgroups, or of slices where systemd makes them. */
  readonly cgroupParent?: string;
}

export interface IdRange {
  readonly host: number;
  readonly length: number;
}

/** LinuxContainerResources of the CRI. What is not named is not changed by `update`. */
export interface CriResources {
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpuShares?: number;
  readonly memory?: number;
  readonly cpuset?: string;
  /** What cgroup v2 has files for, as the kubelet gives it. */
  readonly unified?: Readonly<Record<string, string>>;
}

export interface CriMount {
  readonly target: string;
  /** A path of the host. */
  readonly source?: string;
  /** An image, in the place of a path. */
  readonly image?: string;
  readonly readonly?: boolean;
  /** Read-only with all mounts below. */
  readonly recursive?: boolean;
  /** The ids of a user namespace that the ids of its files are, counted from 0. */
  readonly ids?: IdRange;
  /** mountPropagation of Kubernetes: HostToContainer is 1, Bidirectional 2. */
  readonly propagation?: number;
}

export interface CriContainerOptions {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly workdir?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly mounts?: readonly CriMount[];
  readonly user?: number;
  readonly username?: string;
  readonly groups?: readonly number[];
  readonly addCapabilities?: readonly string[];
  readonly dropCapabilities?: readonly string[];
  readonly privileged?: boolean;
  readonly readonlyRootfs?: boolean;
  readonly noNewPrivileges?: boolean;
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
  /** ProfileType of the CRI: 0 is the engine's default, 1 none. */
  readonly seccomp?: number;
  readonly network?: number;
  readonly pid?: number;
  readonly ipc?: number;
  /** The same as of its pod. */
  readonly userNamespace?: IdRange;
  readonly resources?: CriResources;
}

/** What an engine says of the runtime behind a handler; undefined if the runtime didn't tell. */
export interface HandlerFeatures {
  readonly recursiveReadOnlyMounts: boolean;
  readonly userNamespaces: boolean;
}

export interface CriResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The states of a container, by the number that the CRI has for them. */
const STATES = ["created", "running", "exited", "unknown"];

/** A client of the Container Runtime Interface, as the kubelet is. The numbers are those of k8s.io/cri-api, runtime/v1. */
export class Cri {
  readonly #address: NetConnectOpts;
  readonly #timeoutMs: number;
  /** The pods' configs by id: to create a container takes its pod's once more. */
  readonly #pods = new Map<string, Buffer>();
  /** All pods and containers that were made: their cgroups have these names. */
  readonly ids: string[] = [];

  constructor(address: NetConnectOpts, timeoutMs = 60_000) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
  }

  async #call(method: string, ...request: readonly Buffer[]): Promise<Fields> {
    const path = `/runtime.v1.RuntimeService/${method}`;
    return new Fields(await grpcCall(this.#address, path, Buffer.concat(request), this.#timeoutMs));
  }

  /** RuntimeReady and NetworkReady. */
  async conditions(): Promise<Record<string, boolean>> {
    const status = (await this.#call("Status")).message(1);
    return Object.fromEntries(status.messages(1).map((one) => [one.text(1), one.number(2) === 1]));
  }

  /** Of each runtime handler, by its name. The one without a name is the default. */
  async handlers(): Promise<Record<string, HandlerFeatures>> {
    const entries = (await this.#call("Status")).messages(3).map((handler) => {
      const features = handler.message(2);
      const flags = {
        recursiveReadOnlyMounts: features.number(1) === 1,
        userNamespaces: features.number(2) === 1,
      };
      return [handler.text(1), flags] as const;
    });
    return Object.fromEntries(entries);
  }

  async cgroupDriver(): Promise<"systemd" | "cgroupfs"> {
    const driver = (await this.#call("RuntimeConfig")).message(1).number(1);
    return driver === 0 ? "systemd" : "cgroupfs";
  }

  async runPod(pod: PodOptions): Promise<string> {
    const config = podConfig(pod);
    const request = [message(1, config), text(2, pod.handler ?? "")];
    const id = (await this.#call("RunPodSandbox", ...request)).text(1);
    this.#pods.set(id, config);
    this.ids.push(id);
    return id;
  }

  async removePod(id: string): Promise<void> {
    await this.#call("StopPodSandbox", text(1, id));
    await this.#call("RemovePodSandbox", text(1, id));
  }

  async podInfo(id: string): Promise<{ ready: boolean; handler: string; info: string }> {
    const answer = await this.#call("PodSandboxStatus", text(1, id), number(2, true));
    const status = answer.message(1);
    const info = answer.messages(2).find((entry) => entry.text(1) === "info");
    return { ready: status.number(3) === 0, handler: status.text(9), info: info?.text(2) ?? "" };
  }

  /** Process id of the sandbox. */
  async podPid(id: string): Promise<number> {
    return JSON.parse((await this.podInfo(id)).info).pid;
  }

  /** Its address in the pods' network. */
  async podAddress(id: string): Promise<string> {
    return (await this.#call("PodSandboxStatus", text(1, id))).message(1).message(5).text(1);
  }

  async pods(): Promise<string[]> {
    return (await this.#call("ListPodSandbox")).messages(1).map((pod) => pod.text(1));
  }

  async create(pod: string, container: CriContainerOptions): Promise<string> {
    const config = this.#pods.get(pod);
    if (config === undefined) throw new Error(`no pod ${pod}`);
    const request = [text(1, pod), message(2, containerConfig(container)), message(3, config)];
    const id = (await this.#call("CreateContainer", ...request)).text(1);
    this.ids.push(id);
    return id;
  }

  async start(id: string): Promise<void> {
    await this.#call("StartContainer", text(1, id));
  }

  async stop(id: string, timeoutS: number): Promise<void> {
    await this.#call("StopContainer", text(1, id), number(2, timeoutS));
  }

  async remove(id: string): Promise<void> {
    await this.#call("RemoveContainer", text(1, id));
  }

  async containers(): Promise<string[]> {
    return (await this.#call("ListContainers")).messages(1).map((container) => container.text(1));
  }

  async status(id: string): Promise<{ state: string; code: number; reason: string; message: string }> {
    const status = (await this.#call("ContainerStatus", text(1, id))).message(1);
    const state = STATES[status.number(3)] ?? "?";
    return { state, code: status.number(7), reason: status.text(10), message: status.text(11) };
  }

  /** Process id of a container's first process. */
  async pid(id: string): Promise<number> {
    const answer = await this.#call("ContainerStatus", text(1, id), number(2, true));
    const info = answer.messages(2).find((entry) => entry.text(1) === "info");
    return JSON.parse(info?.text(2) ?? "{}").pid;
  }

  async exec(id: string, ...command: readonly string[]): Promise<CriResult> {
    const answer = await this.#call("ExecSync", text(1, id), texts(2, command), number(3, 20));
    return { code: answer.number(3), stdout: answer.text(1), stderr: answer.text(2) };
  }

  async update(id: string, change: CriResources): Promise<void> {
    await this.#call("UpdateContainerResources", text(1, id), message(2, ...resources(change)));
  }

  /** Writes an archive of the running container, which goes on. A container whose image is this file is restored from it. */
  async checkpoint(id: string, archive: string): Promise<void> {
    await this.#call("CheckpointContainer", text(1, id), text(2, archive));
  }
}

function podConfig(pod: PodOptions): Buffer {
  const shared = message(1, ...namespaces({ ...pod.namespaces, userNamespace: pod.userNamespace }));
  const security = message(2, shared, number(6, pod.privileged ?? false), message(9, number(1, 0)));
  return Buffer.concat([
    message(1, text(1, pod.name), text(2, `uid-of-${pod.name}`), text(3, "default"), number(4, 0)),
    text(2, pod.hostname ?? ""),
    text(3, pod.logs),
    map(6, { app: pod.name }),
    message(8, text(1, pod.cgroupParent ?? ""), security, map(3, pod.sysctls ?? {})),
  ]);
}

/** NamespaceOption, for the pod and for each of its containers. */
function namespaces(
  options: Pick<CriContainerOptions, "network" | "pid" | "ipc"> & { userNamespace?: IdRange | undefined },
): Buffer[] {
  const { network = POD, pid = CONTAINER, ipc = POD, userNamespace: ids } = options;
  const modes = [number(1, network), number(2, pid), number(3, ipc)];
  if (ids === undefined) return modes;
  return [...modes, message(5, number(1, POD), idMapping(2, ids), idMapping(3, ids))];
}

function idMapping(field: number, { host, length }: IdRange): Buffer {
  return message(field, number(1, host), number(2, 0), number(3, length));
}

function resources(limits: CriResources): Buffer[] {
  const { cpuPeriod, cpuQuota, cpuShares, memory, cpuset, unified = {} } = limits;
  const numbers = [cpuPeriod, cpuQuota, cpuShares, memory].map((value, index) =>
    value === undefined ? Buffer.alloc(0) : number(index + 1, value),
  );
  return [...numbers, text(6, cpuset ?? ""), map(9, unified)];
}

function mountMessage({ target, source = "", image, ids, ...flags }: CriMount): Buffer {
  return message(
    7,
    text(1, target),
    text(2, source),
    number(3, flags.readonly ?? false),
    number(5, flags.propagation ?? 0),
    ...(ids === undefined ? [] : [idMapping(6, ids), idMapping(7, ids)]),
    number(8, flags.recursive ?? false),
    ...(image === undefined ? [] : [message(9, text(1, image))]),
  );
}

function containerConfig(container: CriContainerOptions): Buffer {
  const env = Object.entries(container.env ?? {}).map(([key, value]) =>
    message(6, text(1, key), text(2, value)),
  );
  return Buffer.concat([
    message(1, text(1, container.name), number(2, 0)),
    message(2, text(1, container.image)),
    texts(3, container.command),
    text(5, container.workdir ?? ""),
    ...env,
    ...(container.mounts ?? []).map(mountMessage),
    text(11, `${container.name}.log`),
    message(15, message(1, ...resources(container.resources ?? {})), security(container)),
  ]);
}

function security(container: CriContainerOptions): Buffer {
  const { user, username, groups = [], addCapabilities = [], dropCapabilities = [] } = container;
  return message(
    2,
    message(1, texts(1, addCapabilities), texts(2, dropCapabilities)),
    number(2, container.privileged ?? false),
    message(3, ...namespaces(container)),
    ...(user === undefined ? [] : [message(5, number(1, user))]),
    ...(username === undefined ? [] : [text(6, username)]),
    number(7, container.readonlyRootfs ?? false),
    ...groups.map((group) => number(8, group)),
    number(11, container.noNewPrivileges ?? false),
    texts(13, container.maskedPaths ?? []),
    texts(14, container.readonlyPaths ?? []),
    message(15, number(1, container.seccomp ?? 0)),
  );
}
