import { RuntsError } from "../errors.ts";
import type { ConfigInput } from "../spec/config-input.ts";
import { defaultConfig } from "../spec/default-config.ts";
import { LANDLOCK_ANNOTATION } from "../spec/landlock.ts";
import { specVersion } from "../version.ts";
import { sandboxEnvironment } from "./environment.ts";
import type { Host } from "./host.ts";
import { sandboxLandlock } from "./landlock.ts";
import { gidOf, sandboxMounts } from "./mounts.ts";
import type { SandboxOptions } from "./options.ts";
import { sandboxSeccomp } from "./seccomp.ts";

type Linux = NonNullable<ConfigInput["linux"]>;

/** A sandbox as a config, and the options that its properties come from. */
export interface SandboxConfig {
  readonly config: ConfigInput;
  /** The text of the option that asked for a property, such as `--memory`; undefined for what every sandbox has. */
  readonly optionAt: (pointer: string) => string | undefined;
  /** Whether an option needs a cgroup. */
  readonly hasLimits: boolean;
}

const CPU_PERIOD_US = 100_000;
/** cpu.max takes no smaller quota: MIN_BANDWIDTH in kernel/sched/core.c. */
const LEAST_CPUS = 0.01;

/**
 * The config of a sandbox. Its root file system is empty; mount points are made in it. `surroundings` says where runts keeps its records, which
 * no sandbox may see, and whether the program gets a terminal.
 */
export function sandboxConfig(
  options: SandboxOptions,
  host: Host,
  surroundings: { readonly stateRoot: string; readonly terminal: boolean; readonly machine: string },
): SandboxConfig {
  checkNumbers(options);
  const { mounts, options: mountOptions, cwd, home } = sandboxMounts(options, host, surroundings.stateRoot);
  const resources = resourcesOf(options);
  const hasLimits = Object.keys(resources).length > 0;
  const uid = options.uid ?? host.uid;
  const gid = gidOf(options, host);
  const common = defaultConfig().linux;
  const types = ["user", "mount", "pid", "ipc", "uts", "cgroup"] as const;
  const none: string[] = [];
  const config: ConfigInput = {
    ociVersion: specVersion,
    process: {
      terminal: surroundings.terminal,
      user: { uid, gid },
      args: [...options.args],
      env: sandboxEnvironment(options.env ?? [], home, host),
      cwd,
      capabilities: { bounding: none, effective: none, inheritable: none, permitted: none, ambient: none },
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: options.hostname ?? "localhost",
    mounts: [...mounts],
    ...(options.landlock === true && {
      annotations: { [LANDLOCK_ANNOTATION]: sandboxLandlock(mounts, host, options.net === "host") },
    }),
    linux: {
      // Root can map any id of the host; anybody else only his own. user_namespaces(7)
      uidMappings: [{ containerID: uid, hostID: host.uid === 0 ? uid : host.uid, size: 1 }],
      gidMappings: [{ containerID: gid, hostID: host.uid === 0 ? gid : host.gid, size: 1 }],
      namespaces: [
        ...types.map((type) => ({ type })),
        ...(options.net === "host" ? [] : [{ type: "network" as const }]),
      ],
      ...(hasLimits && { resources }),
      seccomp: sandboxSeccomp(surroundings.machine),
      rootfsPropagation: "rprivate",
      maskedPaths: common.maskedPaths?.filter((path) => path.startsWith("/proc/")) ?? [],
      readonlyPaths: common.readonlyPaths ?? [],
    },
  };
  const limits: Readonly<Record<string, string>> = { memory: "--memory", cpu: "--cpus", pids: "--pids" };
  return {
    config,
    hasLimits,
    optionAt: (pointer) => {
      const [, property = "", index = "", name = ""] = pointer.split("/");
      if (property === "mounts") return mountOptions.get(Number(index));
      if (property === "linux" && index === "resources") return limits[name] ?? givenLimits(options);
      return undefined;
    },
  };
}

function resourcesOf({ memory, cpus, pids }: SandboxOptions): NonNullable<Linux["resources"]> {
  const period = CPU_PERIOD_US;
  return {
    // The limit of memory and swap together is the same: nothing is swapped.
    ...(memory !== undefined && { memory: { limit: memory, swap: memory } }),
    ...(cpus !== undefined && { cpu: { quota: Math.round(cpus * period), period } }),
    // Init is one process more.
    ...(pids !== undefined && { pids: { limit: pids + 1 } }),
  };
}

function givenLimits(options: SandboxOptions): string {
  const names = ["memory", "cpus", "pids"] as const;
  return names
    .filter((name) => options[name] !== undefined)
    .map((name) => `--${name}`)
    .join(", ");
}

/** The library takes any number, the command line some. */
function checkNumbers({ memory, cpus, pids, uid, args }: SandboxOptions): void {
  const check = (name: string, value: number | undefined, least: number, expected: string) => {
    const isWrong =
      value !== undefined && (!(value >= least) || (name !== "cpus" && !Number.isInteger(value)));
    if (isWrong)
      throw new RuntsError(`--${name} ${value}: must be ${expected}`, {
        operation: "sandbox",
        errno: "EINVAL",
      });
  };
  check("memory", memory, 1, "a positive number of bytes");
  check("cpus", cpus, LEAST_CPUS, `a number of CPUs, at least ${LEAST_CPUS}`);
  check("pids", pids, 1, "a positive number of processes");
  check("uid", uid, 0, "a user id");
  if (args.length === 0)
    throw new RuntsError("there is no command to run", { operation: "sandbox", errno: "EINVAL" });
}
