import { CLONE_NEWNET } from "../../../bindings/abi/sched.ts";
import { mkdirSync } from "../../../bindings/linux/directories.ts";
import { statSync } from "../../../bindings/linux/file-status.ts";
import { existsSync, readFileSync } from "../../../bindings/linux/files.ts";
import type { ContainerMounts } from "../../criu/external-mounts.ts";
import { failureError } from "../../criu/failure.ts";
import type { CriuOptions, CriuResponse, RequestType } from "../../criu/messages.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { namespacesOf } from "../../plan/init-plan.ts";
import { devicePaths } from "../../plan/mounts/devices.ts";
import { devIsBound, type MountRequest } from "../../plan/mounts/requests.ts";
import { cleanPath } from "../../plan/rootfs-paths.ts";
import { wantsIdMap } from "../../spec/id-mapped-mount.ts";
import { LANDLOCK_POINTER, landlockOf } from "../../spec/landlock.ts";
import type { Config } from "../../spec/types.ts";
import { inspectCaller } from "../caller/caller.ts";
import type { GlobalOptions } from "../context.ts";
import type { CriuChoices } from "./options.ts";
import type { CriuProcess, Notified } from "./process.ts";

/** An external network or pid namespace goes by this name in the images: runc's. */
export const EXTERNAL_NAMESPACES = {
  network: { type: "net", key: "extRootNetNS", criu: 31100 },
  pid: { type: "pid", key: "extRootPidNS", criu: 31500 },
} as const;

/** Directories and log of one run of criu. */
export class CriuFiles {
  readonly #choices: CriuChoices;
  readonly #logFile: string;

  constructor(choices: CriuChoices, logFile: "dump.log" | "restore.log") {
    this.#choices = choices;
    this.#logFile = logFile;
  }

  /** Makes the directories that criu writes to. */
  make({ withImages }: { readonly withImages: boolean }): void {
    const { imagePath, workPath } = this.#choices;
    if (withImages) makeDirectory("--image-path", imagePath);
    if (workPath !== undefined) makeDirectory("--work-path", workPath);
  }

  /** The directories that criu has to have open. */
  get directories(): string[] {
    const { imagePath, workPath } = this.#choices;
    return [imagePath, ...(workPath === undefined ? [] : [workPath])];
  }

  get logPath(): string {
    const { imagePath, workPath } = this.#choices;
    return `${workPath ?? imagePath}/${this.#logFile}`;
  }

  /**
   * The options of both commands; `opened` are the directories' numbers in criu. criu leaves the network to the runtime and its
   * engine, as for runc: a new one is empty.
   */
  options(config: Config, opened: readonly number[]): Omit<CriuOptions, "root" | "external"> {
    const choices = this.#choices;
    const configFile = configFileOf(config);
    const [imagesDirectory = -1, workDirectory] = opened;
    return {
      imagesDirectory,
      ...(workDirectory !== undefined && { workDirectory }),
      logFile: this.#logFile,
      tcpEstablished: choices.tcpEstablished,
      extUnixSk: choices.extUnixSk,
      shellJob: choices.shellJob,
      fileLocks: choices.fileLocks,
      lazyPages: choices.lazyPages,
      autoDedup: choices.autoDedup,
      cgroupMode: choices.cgroupMode,
      ...cgroupControllers(),
      emptyNamespaces: CLONE_NEWNET,
      ...(configFile !== undefined && { configFile }),
      ...(choices.networkLock !== undefined && { networkLock: choices.networkLock }),
    };
  }

  /** Sends criu a request, waits for its answer, and ends it. Throws with the words of its log if it fails. */
  run(criu: CriuProcess, type: RequestType, options: CriuOptions, notified: Notified): CriuResponse {
    const response = criu.run({ type, options }, notified);
    const status = criu.end();
    // After a pre-dump criu waits for more requests, and may end with another status: that is not a failure.
    if (response?.success === true && (status === 0 || type === "PRE_DUMP")) return response;
    const { logPath } = this;
    const log = existsSync(logPath) ? readFileSync(logPath, "utf8") : undefined;
    throw failureError({ type, response, end: describeEnd(status), log, logPath });
  }
}

function makeDirectory(option: string, path: string): void {
  onBehalfOf("", `make the directory of ${option}`, () => mkdirSync(path, { recursive: true, mode: 0o700 }));
}

function describeEnd(status: number): string {
  const signal = status & 0x7f;
  return signal === 0 ? `criu ended with exit status ${status >> 8}` : `criu was ended by signal ${signal}`;
}

/**
 * Has criu save only the unified hierarchy, whose controller has no name, on a hybrid host. Otherwise it would save the cgroups of all v1
 * hierarchies, which are not the container's, and make them again if they have gone since.
 */
function cgroupControllers(): Pick<CriuOptions, "cgroupControllers"> {
  const hierarchies = readFileSync("/proc/self/cgroup", "utf8").trim().split("\n");
  return hierarchies.length > 1 ? { cgroupControllers: [""] } : {};
}

/** The annotation names a file of settings for criu, which rule out those of the runtime; empty is none at all. */
function configFileOf({ annotations = {} }: Config): string | undefined {
  const file = annotations["org.criu.config"] ?? "/etc/criu/runc.conf";
  return file === "" ? undefined : file;
}

/** Describes the mounts of a container to criu. */
export function containerMounts(config: Config, requests: readonly MountRequest[]): ContainerMounts {
  const { maskedPaths = [] } = config.linux ?? {};
  return {
    requests,
    devices: devIsBound(requests) ? [] : devicePaths(config),
    maskedPaths: maskedPaths.map(cleanPath),
  };
}

/** Refuses containers of which criu would silently leave out a part, or put it elsewhere. */
export function refuseUnsaved(operation: "checkpoint" | "restore", config: Config): void {
  const refuse = (pointer: string, what: string) => {
    throw new RuntsError(`${pointer}: a container ${what} can't be checkpointed nor restored`, {
      operation,
      pointer,
    });
  };
  const index = (config.mounts ?? []).findIndex(wantsIdMap);
  if (index >= 0) refuse(`/mounts/${index}`, "with id-mapped mounts");
  // criu saves no Landlock domain: the restored processes would be free of the rules.
  if (landlockOf(config) !== undefined) refuse(LANDLOCK_POINTER, "with Landlock rules");
  if (!namespacesOf(config).created.has("mount"))
    refuse("/linux/namespaces", "without a mount namespace of its own");
}

/** criu needs nearly all capabilities of the host's root. */
export function warnUnprivileged({ log }: GlobalOptions, command: string): void {
  const { privileged, inUserNamespace } = inspectCaller();
  if (privileged && !inUserNamespace) return;
  log.warn(`${command} is meant for the host's root: criu may not get what it needs in a user namespace`);
}

export function inodeOf(path: string): number {
  return statSync(path).ino;
}
