import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { existsSync } from "../../../bindings/linux/files.ts";
import { type Bus, BusError, type BusValue, openBus } from "../../../bindings/linux/sd-bus.ts";
import { SyscallError } from "../../../bindings/syscall-error.ts";
import { RuntsError } from "../../errors.ts";
import { describeErrno } from "../files.ts";
import type { UnitProperty } from "./properties.ts";

/** The host's systemd, or the caller's `systemd --user`. */
export type ManagerKind = "system" | "user";

const MANAGER = {
  destination: "org.freedesktop.systemd1",
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
} as const;
const PROPERTIES = { ...MANAGER, interface: "org.freedesktop.DBus.Properties" } as const;
const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

/** Jobs on scopes take milliseconds. If systemd does not finish one in this time, the host needs an administrator. */
const JOB_TIMEOUT_MS = 30_000;
const POINTER = "/linux/cgroupsPath";

/** A change of a unit that systemd is working on. */
export interface Job {
  /** Waits until it is done; throws if it fails or takes longer than 30 seconds. */
  finish(): void;
}

/** A connection to a systemd manager. org.freedesktop.systemd1(5) */
export class Manager {
  readonly #bus: Bus;
  readonly #kind: ManagerKind;
  #listening = false;

  constructor(kind: ManagerKind) {
    this.#kind = kind;
    const owner = kind === "user" ? "the user's systemd" : "systemd";
    this.#bus = withPurpose("", `connect to the bus of ${owner}`, () => connect(kind));
  }

  /** The manager's cgroup, which contains those of all of its units; empty for the root cgroup. */
  controlGroup(): string {
    const [value = ""] = this.#ask("Get", "ss", [MANAGER.interface, "ControlGroup"], "v", PROPERTIES);
    return value === "/" ? "" : String(value);
  }

  /** Creates a transient unit. An earlier, failed unit of the same name is reset first. */
  startTransientUnit(unit: string, properties: readonly UnitProperty[]): Job {
    this.#listenForJobs();
    let sent = properties;
    for (let retried = false; ; ) {
      try {
        const args = [unit, "fail", encoded(sent), []];
        const answer = withPurpose(POINTER, `have systemd make ${unit}`, () =>
          this.#call("StartTransientUnit", "ssa(sv)a(sa(sv))", args, "o", sent),
        );
        return this.#job("start", unit, answer);
      } catch (error) {
        if (!(error instanceof BusError)) throw error;
        const known = withoutUnknown(sent, error);
        const exists = error.errorName.endsWith(".UnitExists");
        if (known === undefined && (!exists || retried)) throw this.#refusal(error, `start ${unit}`, sent);
        if (exists) {
          retried = true;
          this.resetFailedUnit(unit);
        }
        sent = known ?? sent;
      }
    }
  }

  /** Sets properties until the next boot. Others keep their values. */
  setUnitProperties(unit: string, properties: readonly UnitProperty[]): void {
    for (let sent = properties; ; ) {
      try {
        withPurpose("", `have systemd change ${unit}`, () =>
          this.#call("SetUnitProperties", "sba(sv)", [unit, true, encoded(sent)], "", sent),
        );
        return;
      } catch (error) {
        if (!(error instanceof BusError)) throw error;
        const known = withoutUnknown(sent, error);
        if (known === undefined) throw this.#refusal(error, `change ${unit}`, sent);
        sent = known;
      }
    }
  }

  /** Stops a unit and waits until it has stopped. False if there is none. */
  stopUnit(unit: string): boolean {
    this.#listenForJobs();
    try {
      withPurpose(POINTER, `have systemd stop ${unit}`, () =>
        this.#job("stop", unit, this.#call("StopUnit", "ss", [unit, "replace"], "o")).finish(),
      );
      return true;
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      if (isUnknownUnit(error)) return false;
      throw this.#refusal(error, `stop ${unit}`, []);
    }
  }

  /** Makes systemd forget a failed unit. One that does not exist or has not failed is fine. */
  resetFailedUnit(unit: string): void {
    try {
      withPurpose(POINTER, `have systemd forget ${unit}, should it have failed`, () =>
        this.#call("ResetFailedUnit", "s", [unit]),
      );
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      if (!isUnknownUnit(error)) throw this.#refusal(error, `reset ${unit}`, []);
    }
  }

  /** Moves a process into the unit's cgroup, or the one at `path` below it, which the manager may do even if the caller may not (cgroups(7), Delegation). */
  attachProcess(unit: string, path: string, pid: number): void {
    withPurpose(POINTER, `have systemd move the process into ${unit}`, () =>
      this.#ask("AttachProcessesToUnit", "ssau", [unit, path, [BigInt(pid)]], ""),
    );
  }

  close(): void {
    this.#bus.close();
  }

  /** The bus delivers only signals with a match rule, and systemd sends none without a subscriber. */
  #listenForJobs(): void {
    if (this.#listening) return;
    this.#listening = true;
    const rule = `type='signal',path='${MANAGER.path}',interface='${MANAGER.interface}',member='JobRemoved'`;
    withPurpose("", "listen for the end of systemd's jobs", () => {
      this.#ask("AddMatch", "s", [rule], "", BUS);
      this.#ask("Subscribe", "", [], "");
    });
  }

  #job(verb: string, unit: string, [job]: readonly BusValue[]): Job {
    return { finish: () => this.#awaitJob(verb, unit, job) };
  }

  #awaitJob(verb: string, unit: string, job: BusValue | undefined): void {
    let result: BusValue = "";
    // id, job, unit, result
    const ended = this.#bus.awaitSignal(
      { interface: MANAGER.interface, member: "JobRemoved" },
      "uoss",
      ([, path, , outcome = ""]) => {
        result = outcome;
        return path === job;
      },
      JOB_TIMEOUT_MS,
    );
    if (ended && result === "done") return;
    const reason = ended ? `the job's result is "${result}"` : `no result within ${JOB_TIMEOUT_MS / 1000} s`;
    throw new RuntsError(`${POINTER}: systemd could not ${verb} ${unit}: ${reason}`, {
      operation: verb,
      pointer: POINTER,
      path: unit,
    });
  }

  /** A call without unit properties, so a failure is blamed on cgroupsPath. */
  #ask(
    member: string,
    signature: string,
    args: readonly BusValue[],
    reply: string,
    target: typeof MANAGER | typeof PROPERTIES | typeof BUS = MANAGER,
  ): readonly BusValue[] {
    try {
      return this.#bus.call({ ...target, member }, signature, args, reply);
    } catch (error) {
      throw error instanceof BusError ? this.#refusal(error, member, []) : error;
    }
  }

  #call(
    member: string,
    signature: string,
    args: readonly BusValue[],
    reply = "",
    properties: readonly UnitProperty[] = [],
  ): readonly BusValue[] {
    const pointers = properties.map(({ pointer = "" }) => pointer);
    return this.#bus.call({ ...MANAGER, member, pointers }, signature, args, reply);
  }

  /** The error of a refused call. It points to the property that systemd's message names, otherwise to cgroupsPath. */
  #refusal(error: BusError, action: string, properties: readonly UnitProperty[]): RuntsError {
    const blamed = properties.find(
      ({ name, pointer }) => pointer !== undefined && mentions(error.message, name),
    );
    const pointer = blamed?.pointer ?? POINTER;
    const property = blamed === undefined ? "" : `property ${blamed.name}: `;
    const who = this.#kind === "user" ? "the user's systemd" : "systemd";
    const asked = blamed === undefined ? properties.filter(isAnnotated).map(({ name }) => name) : [];
    const hint = asked.length === 0 ? "" : `; properties from annotations: ${asked.join(", ")}`;
    return new RuntsError(`${pointer}: ${who} refuses to ${action}: ${property}${error.message}${hint}`, {
      operation: action.split(" ")[0] ?? action,
      errno: error.errno,
      pointer,
      cause: error,
    });
  }
}

function connect(kind: ManagerKind): Bus {
  // sd_booted(3)
  if (!existsSync("/run/systemd/system")) {
    throw new RuntsError(
      "--systemd-cgroup: systemd is not running on this host: there is no /run/systemd/system",
      {
        operation: "connect",
        path: "/run/systemd/system",
      },
    );
  }
  try {
    return openBus(kind);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const { call, errno } = error;
    const reason =
      call === "dlopen"
        ? "needs libsystemd, which is not installed (libsystemd.so.0)"
        : `cannot connect to the ${kind === "user" ? "bus of the user's systemd" : "system bus"}: ${describeErrno(errno)}`;
    const hint =
      kind === "user" && call !== "dlopen"
        ? "; DBUS_SESSION_BUS_ADDRESS, or XDG_RUNTIME_DIR with its socket `bus`, must lead to it: loginctl enable-linger starts one"
        : "";
    throw new RuntsError(`--systemd-cgroup: ${reason}${hint}`, { operation: "connect", errno, cause: error });
  }
}

function encoded(properties: readonly UnitProperty[]): BusValue {
  return properties.map(({ name, signature, value }) => [name, [signature, value]]);
}

function isUnknownUnit({ errorName }: BusError): boolean {
  return errorName.endsWith(".NoSuchUnit");
}

/**
 * Leaves out the properties that this version of systemd does not know; undefined if the error is about something else. The limits still
 * hold, since the cgroup's files are written in any case. Properties from annotations stay, as the user has named them.
 */
function withoutUnknown(properties: readonly UnitProperty[], error: BusError): UnitProperty[] | undefined {
  if (!error.errorName.endsWith(".PropertyReadOnly")) return undefined;
  const known = properties.filter(
    (property) => isAnnotated(property) || !mentions(error.message, property.name),
  );
  return known.length < properties.length ? known : undefined;
}

function isAnnotated({ pointer = "" }: UnitProperty): boolean {
  return pointer.startsWith("/annotations/");
}

function mentions(message: string, property: string): boolean {
  return new RegExp(`\\b${property}\\b`).test(message);
}
