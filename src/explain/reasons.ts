import { rlimitNames } from "../../bindings/abi/resource.ts";
import type { SyscallName } from "../../bindings/ffi/syscall.ts";
import { neededControllers } from "../cgroup/create.ts";
import { CGROUP_MOUNT } from "../cgroup/files.ts";
import type { CgroupWrite } from "../cgroup/limits/cgroup-write.ts";
import { planResources } from "../cgroup/limits/plan.ts";
import { wantsIdMap } from "../spec/id-mapped-mount.ts";
import type { Config } from "../spec/types.ts";

/** Why the runtime makes a system call itself: the property that asks for it, and what it is for. */
export interface Reason {
  readonly pointer: string;
  readonly purpose: string;
}

export interface RuntimeCall {
  readonly call: SyscallName;
  readonly path: string;
  /** What is written, if something is. */
  readonly value: string;
  /** Second argument, of calls on a process. */
  readonly number: number;
}

/** Where things are that belong to the container, and not to its config. */
export interface Places {
  readonly root: string;
  readonly directory: string;
  readonly pidFile: string;
}

export class Reasons {
  readonly #config: Config;
  readonly #places: Places;
  readonly #writes: readonly CgroupWrite[];
  readonly #needed: ReadonlyMap<string, string>;

  constructor(config: Config, places: Places) {
    this.#config = config;
    this.#places = places;
    const { resources } = config.linux ?? {};
    this.#writes = resources === undefined ? [] : planResources(resources);
    this.#needed = neededControllers(resources);
  }

  of(call: RuntimeCall): Reason {
    const { path } = call;
    const { root, directory, pidFile } = this.#places;
    if (path === root) return { pointer: "", purpose: "make the directory of the containers' state" };
    if (path === directory || path.startsWith(`${directory}/`))
      return this.#ofState(call, path.slice(directory.length + 1));
    if (pidFile !== "" && path.startsWith(pidFile)) return { pointer: "", purpose: "write the pid file" };
    if (path.startsWith(`${CGROUP_MOUNT}/`)) return this.#ofCgroup(call);
    const inProc = /^\/proc\/\d+\/(.+)$/.exec(path)?.[1];
    if (inProc !== undefined) return ofProcess(inProc);
    return this.#ofCall(call);
  }

  #ofState({ call }: RuntimeCall, name: string): Reason {
    const own = (purpose: string) => ({ pointer: "", purpose });
    if (name === "") return own("make the container's directory");
    if (name === "config.json") return own("keep the config as it is now");
    if (name.startsWith("state.json")) return own("write the record that delete undoes everything by");
    if (name.startsWith("notify")) return own("make a place for the container's NOTIFY_SOCKET");
    if (name !== "start.sock") return own(`make ${name}`);
    if (call === "unlinkat") return own("remove the socket that init has waited on");
    return own(call === "connect" ? "let init go on" : "make the socket that init waits on");
  }

  #ofCgroup({ call, path, value }: RuntimeCall): Reason {
    const file = path.slice(path.lastIndexOf("/") + 1);
    const pointer = "/linux/cgroupsPath";
    if (call === "mkdirat") return { pointer, purpose: `make the cgroup ${path.slice(CGROUP_MOUNT.length)}` };
    if (call === "fchownat")
      return { pointer: this.#userPointer(), purpose: "give the cgroup to the container's user" };
    if (file === "cgroup.subtree_control") {
      const asking = [...this.#needed].find(([controller]) => value.includes(`+${controller}`))?.[1];
      return { pointer: asking ?? pointer, purpose: "enable controllers for the cgroups below" };
    }
    const write =
      this.#writes.find((one) => one.file === file && (value === "" || one.value === value)) ??
      this.#writes.find(({ fallback }) => fallback?.file === file);
    return { pointer: write?.pointer ?? "/linux/resources", purpose: `set ${file}` };
  }

  #userPointer(): string {
    const hasUserNamespace = (this.#config.linux?.namespaces ?? []).some(({ type }) => type === "user");
    return hasUserNamespace ? "/linux/uidMappings" : "/process/user/uid";
  }

  #ofCall({ call, path, number }: RuntimeCall): Reason {
    switch (call) {
      case "bpf":
        return { pointer: "/linux/resources/devices", purpose: "decide about devices by a program" };
      case "prlimit64": {
        const name = rlimitNames[number] ?? "";
        const index = (this.#config.process?.rlimits ?? []).findIndex(({ type }) => type === name);
        return { pointer: `/process/rlimits/${index}`, purpose: `raise ${name}` };
      }
      case "sched_setattr":
        return { pointer: "/process/scheduler", purpose: "set the scheduling policy" };
      case "ioprio_set":
        return { pointer: "/process/ioPriority", purpose: "set the I/O priority" };
      case "open_tree":
      case "mount_setattr":
        return { pointer: this.#idMappedMount(path), purpose: "map the ids of a bind mount" };
      case "process_vm_writev":
      case "pidfd_getfd":
        return { pointer: "/linux/seccomp/listenerPath", purpose: "hand over the seccomp listener" };
      case "connect":
        return { pointer: "", purpose: `connect to ${path}` };
      default:
        return path.startsWith("/sys/fs/resctrl")
          ? { pointer: "/linux/intelRdt", purpose: "make the group of Intel RDT" }
          : { pointer: "", purpose: call };
    }
  }

  #idMappedMount(source: string): string {
    const mounts = this.#config.mounts ?? [];
    const index = mounts.findIndex(
      (mount) => wantsIdMap(mount) && (source === "" || mount.source === source),
    );
    return index < 0 ? "/mounts" : `/mounts/${index}`;
  }
}

function ofProcess(name: string): Reason {
  switch (name) {
    case "uid_map":
      return { pointer: "/linux/uidMappings", purpose: "write the user mappings" };
    case "gid_map":
      return { pointer: "/linux/gidMappings", purpose: "write the group mappings" };
    case "setgroups":
      return { pointer: "/linux/gidMappings", purpose: "deny setgroups" };
    case "timens_offsets":
      return { pointer: "/linux/timeOffsets", purpose: "set the clock offsets" };
    case "oom_score_adj":
      return { pointer: "/process/oomScoreAdj", purpose: "set oom_score_adj" };
    default:
      return { pointer: "", purpose: `write ${name}` };
  }
}
