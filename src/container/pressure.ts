import { O_RDWR } from "../../bindings/abi/fcntl.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { FileError } from "../../bindings/linux/file-call.ts";
import { closeSync, openSync, writeSync } from "../../bindings/linux/files.ts";
import type { Polled } from "../../bindings/linux/poll.ts";
import { cgroupName, describeErrno, tryReadCgroupFile } from "../cgroup/files.ts";
import { type Pressure, type PressureResource, readPressure } from "../cgroup/stats.ts";
import { RuntsError } from "../errors.ts";
import type { Log } from "../log.ts";

/** Pressure to be told of: tasks of the container were stalled for `stallUs` of any `windowUs` microseconds. */
export interface PressureThreshold {
  /** As the caller has written it, for events and errors. */
  readonly text: string;
  /** Whether some tasks were stalled, or all that were not idle. */
  readonly kind: "some" | "full";
  readonly resource: PressureResource;
  readonly stallUs: number;
  readonly windowUs: number;
}

/** A line of `events --psi`. */
export interface PressureEvent {
  readonly type: "psi";
  readonly id: string;
  readonly data: {
    /** The threshold that was reached, as the caller has written it. */
    readonly trigger: string;
    /** The pressure now. */
    readonly psi: Pressure;
  };
}

/** A threshold that the kernel watches, as long as the descriptor is open: Documentation/accounting/psi.rst. */
interface Trigger {
  readonly threshold: PressureThreshold;
  readonly fd: number;
  /** The container's stall, in microseconds, when the trigger was set. */
  readonly stallBefore: number;
}

/** Watches the pressure in a container's cgroup, by triggers of the kernel. At most one event a window is reported for each. */
export class PressureWatch {
  readonly #id: string;
  readonly #cgroup: string;
  readonly #log: Log;
  readonly #triggers: Trigger[] = [];

  constructor(id: string, cgroup: string, thresholds: readonly PressureThreshold[], log: Log) {
    this.#id = id;
    this.#cgroup = cgroup;
    this.#log = log;
    try {
      for (const threshold of thresholds) this.#triggers.push(setTrigger(cgroup, threshold));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** To be waited for by waitNotified. */
  descriptors(): number[] {
    return this.#triggers.map(({ fd }) => fd);
  }

  /** The events among what waitNotified has returned. */
  take({ ready }: Polled): PressureEvent[] {
    const told = this.#triggers.filter(({ fd }) => ready.includes(fd));
    return told.flatMap((trigger) => this.#event(trigger) ?? []);
  }

  /**
   * Returns undefined for an event that is false. For the first one, some kernels count what was before the trigger: all before Linux 5.19
   * (fixed by 915a087e4c47), and later ones for a caller without CAP_SYS_RESOURCE, whose window begins with the total of another aggregator
   * (psi_trigger_create() in kernel/sched/psi.c). Half of the threshold counts as reached, since the file's total and the trigger's are
   * sampled at different times.
   */
  #event({ threshold, stallBefore }: Trigger): PressureEvent | undefined {
    const { text, kind, resource, stallUs } = threshold;
    const psi = readPressure(this.#cgroup, resource);
    // The cgroup is gone, and so is the container.
    if (psi === undefined) return undefined;
    const growth = stallOf(psi, kind) - stallBefore;
    if (growth >= stallUs / 2) return { type: "psi", id: this.#id, data: { trigger: text, psi } };
    this.#log.debug(`--psi ${text}: a false event is left out, after ${growth} us of stall`);
    return undefined;
  }

  /** Drops the triggers that the kernel has ended: the cgroup is gone, or cgroup.pressure was set to 0. Returns their texts. */
  dropFailed({ failed }: Polled): string[] {
    const dropped: string[] = [];
    for (const trigger of this.#triggers.filter(({ fd }) => failed.includes(fd))) {
      this.#triggers.splice(this.#triggers.indexOf(trigger), 1);
      closeSync(trigger.fd);
      dropped.push(trigger.threshold.text);
    }
    return dropped;
  }

  close(): void {
    for (const { fd } of this.#triggers.splice(0)) closeSync(fd);
  }
}

/** Microseconds. */
function stallOf(pressure: Pressure | undefined, kind: PressureThreshold["kind"]): number {
  return Number(pressure?.[kind]?.total ?? 0n);
}

function setTrigger(cgroup: string, threshold: PressureThreshold): Trigger {
  const { kind, resource, stallUs, windowUs } = threshold;
  const path = `${cgroup}/${resource}.pressure`;
  let fd: number | undefined;
  try {
    const stallBefore = stallOf(readPressure(cgroup, resource), kind);
    fd = openSync(path, O_RDWR);
    const descriptor = fd;
    withPurpose("", `have the kernel watch the pressure on ${resource}`, () =>
      writeSync(descriptor, `${kind} ${stallUs} ${windowUs}`),
    );
    return { threshold, fd, stallBefore };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw triggerError(cgroup, path, threshold, error);
  }
}

function triggerError(cgroup: string, path: string, { text }: PressureThreshold, cause: unknown): unknown {
  if (!(cause instanceof FileError)) return cause;
  const message = `--psi ${text}: ${cgroupName(path)}: ${hintFor(cause.code, cgroup) ?? describeErrno(cause.code)}`;
  return new RuntsError(message, { operation: "events", errno: cause.code, path, cause });
}

function hintFor(errno: string, cgroup: string): string | undefined {
  switch (errno) {
    case "ENOENT":
    case "EOPNOTSUPP":
      return tryReadCgroupFile(cgroup, "cgroup.pressure")?.trim() === "0"
        ? "the cgroup does not count pressure: its cgroup.pressure is 0"
        : "this kernel does not count pressure: it has to be booted with psi=1";
    case "EPERM":
    case "EACCES":
      return `${describeErrno(errno)}: before Linux 6.5 this needs CAP_SYS_RESOURCE`;
    case "EINVAL":
      return "without CAP_SYS_RESOURCE, the window has to be a multiple of 2s";
    default:
      return undefined;
  }
}
