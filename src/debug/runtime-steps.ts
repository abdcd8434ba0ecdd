import { EEXIST, ENOENT } from "../../bindings/abi/errno.ts";
import { signalName } from "../../bindings/abi/signal.ts";
import type { NativeArgument } from "../../bindings/ffi/koffi.ts";
import { callKernel, onKernel, type SyscallName } from "../../bindings/ffi/syscall.ts";
import type { StubProcesses } from "../../bindings/stub/stub-processes.ts";
import { BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_LOAD } from "../cgroup/devices/attach.ts";
import { CGROUP_MOUNT } from "../cgroup/files.ts";
import { hookOf } from "../container/hooks/hooks.ts";
import { containerDirectory } from "../container/record/saved-state.ts";
import { textOf } from "../explain/native.ts";
import { type Reason, Reasons } from "../explain/reasons.ts";
import { readValidConfig } from "../spec/config.ts";
import type { Config } from "../spec/types.ts";
import { OpenPaths } from "./open-paths.ts";
import { failureOf, type StepLog } from "./steps.ts";

type Args = readonly NativeArgument[];

/** The container that a command is about, and the paths that it uses for it. */
export interface Subject {
  readonly root: string;
  readonly id: string;
  /** Empty for none. */
  readonly pidFile: string;
}

/** Used until the container's config.json can be read. */
const NO_CONFIG: Config = { ociVersion: "1.0.0", root: { path: "" } };

/** Logs the runtime's own calls that change something, in the words of `explain`. */
export class RuntimeSteps {
  readonly #steps: StepLog;
  readonly #processes: StubProcesses;
  readonly #subject: Subject;
  /** Pids of the stubs. */
  readonly #stubs: ReadonlySet<number>;
  readonly #directory: string;
  readonly #paths = new OpenPaths();
  readonly #hookInputs = new Set<number>();
  #reasons: Reasons;
  #hasConfig = false;

  constructor(steps: StepLog, processes: StubProcesses, subject: Subject, stubs: ReadonlySet<number>) {
    this.#steps = steps;
    this.#stubs = stubs;
    this.#processes = processes;
    this.#subject = subject;
    this.#directory = containerDirectory(subject.root, subject.id);
    this.#reasons = this.#reasonsOf(NO_CONFIG);
  }

  readonly call = (name: SyscallName, args: Args): number => {
    const result = callKernel(name, args);
    if (name === "socketpair") this.#processes.pair(args[3]);
    this.#followHooks(name, args, result);
    this.#paths.opened(name, args, result);
    if (isStep(name, args, result)) this.#tell(name, args, result);
    return result;
  };

  #tell(call: SyscallName, args: Args, result: number): void {
    const path = this.#paths.of(call, args);
    const reason = this.#undoing(call, args, path) ?? this.#doing(call, args, path);
    if (reason === undefined) return;
    const failure = result < 0 ? failureOf(call, -result) : undefined;
    this.#steps.tell({ by: "runtime", ...reason, ...(failure !== undefined && { failure }) });
  }

  /** Names steps of kill, delete and the like. `explain` has no words for them: it ends when the container runs. */
  #undoing(call: SyscallName, args: Args, path: string): Reason | undefined {
    const cgroup = (purpose: string, to = path.length) => ({
      pointer: "/linux/cgroupsPath",
      purpose: `${purpose} ${path.slice(CGROUP_MOUNT.length, to)}`,
    });
    if (call === "pidfd_send_signal") return this.#signal(Number(path), Number(args[1]));
    if (call === "kill") return this.#signal(Number(args[0]), Number(args[1]));
    if (call === "umount2") return { pointer: "", purpose: `unmount ${path}` };
    if (path.startsWith(`${CGROUP_MOUNT}/`)) {
      const last = path.lastIndexOf("/");
      if (call === "unlinkat") return cgroup("remove the cgroup");
      if (path.endsWith("/cgroup.kill")) return cgroup("kill all processes of the cgroup", last);
      if (path.endsWith("/cgroup.freeze"))
        return cgroup(`${textOf(args[1]).startsWith("1") ? "freeze" : "thaw"} the cgroup`, last);
      if (path.endsWith("/cgroup.procs")) return cgroup("move a process into the cgroup", last);
      return undefined;
    }
    const isRecord = path === this.#directory || path.startsWith(`${this.#directory}/`);
    if (call === "unlinkat" && isRecord && !path.endsWith("/start.sock"))
      return { pointer: "", purpose: "remove the container's directory" };
    return undefined;
  }

  #signal(pid: number, signal: number): Reason {
    const purpose = this.#stubs.has(pid)
      ? "end the stub, which has done its work"
      : `send ${signalName(signal)} to process ${pid}`;
    return { pointer: "", purpose };
  }

  #doing(call: SyscallName, args: Args, path: string): Reason | undefined {
    // For sockets and descriptors that were passed to the runtime, the purpose of a write is unknown.
    if (path === "" && (call === "write" || call === "pwrite64" || call === "connect")) return undefined;
    this.#readConfig();
    const value = call === "write" ? textOf(args[1]).slice(0, Number(args[2])) : "";
    const reason = this.#reasons.of({ call, path, value, number: Number(args[1]) });
    return reason.purpose === call ? { ...reason, purpose: `${call} ${path}`.trimEnd() } : reason;
  }

  /** Reads the copy in the container's directory, which create writes early: the bundle's file may have changed since. */
  #readConfig(): void {
    if (this.#hasConfig) return;
    try {
      this.#reasons = this.#reasonsOf(onKernel(() => readValidConfig(this.#directory)));
      this.#hasConfig = true;
    } catch {
      // It doesn't exist yet, or is damaged: then the command itself reports that.
    }
  }

  #reasonsOf(config: Config): Reasons {
    const { root, pidFile } = this.#subject;
    return new Reasons(config, { root, directory: this.#directory, pidFile });
  }

  #followHooks(call: SyscallName, args: Args, result: number): void {
    if (call === "memfd_create") {
      const hook = hookOf(textOf(args[0]));
      if (hook === undefined || result < 0) return;
      this.#hookInputs.add(result);
      this.#steps.hook = hook;
    } else if (call === "close" && this.#hookInputs.delete(Number(args[0]))) this.#steps.hook = undefined;
  }
}

/** Whether a call is a step: one that changes something outside of the runtime. A failure that means there is nothing to do is none. */
function isStep(call: SyscallName, args: Args, result: number): boolean {
  switch (call) {
    case "mkdirat":
      return result !== -EEXIST;
    case "unlinkat":
      return result !== -ENOENT;
    case "bpf":
      return [BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_PROG_DETACH].includes(Number(args[0]));
    case "prlimit64":
      return args[0] !== 0 && args[2] !== null;
    case "pidfd_send_signal":
    case "kill":
      return Number(args[1]) !== 0;
    case "write":
    case "pwrite64":
    case "renameat2":
    case "fchownat":
    case "sched_setattr":
    case "ioprio_set":
    case "umount2":
    case "bind":
    case "connect":
    case "process_vm_writev":
    case "pidfd_getfd":
      return true;
    default:
      return false;
  }
}
