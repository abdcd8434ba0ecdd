import {
  asArray,
  type Bus,
  BusError,
  type BusMethod,
  type BusValue,
  firstType,
} from "../../../bindings/linux/sd-bus.ts";
import { busText, busTexts } from "../bus-values.ts";
import { type Recorder, UNIT_PROPERTY } from "../operation.ts";

/** The effects of systemd that the runtime can see. */
export interface ServiceManager {
  /** Path of the manager's own cgroup below the mount; "/" for the root. */
  readonly controlGroup: string;
  /** Makes a unit; returns false if one of that name exists. */
  startUnit(unit: string, properties: ReadonlyMap<string, BusValue>): boolean;
  changeUnit(properties: ReadonlyMap<string, BusValue>): void;
}

const JOB = "/org/freedesktop/systemd1/job/1";
const PROPERTY_LIST = "a(sv)";

/** A connection that reaches no systemd: each call is recorded, and seems to succeed. */
export class SimulatedBus implements Bus {
  readonly #recorder: Recorder;
  readonly #manager: ServiceManager;

  constructor(kind: "system" | "user", recorder: Recorder, manager: ServiceManager) {
    this.#recorder = recorder;
    this.#manager = manager;
    this.#recorder.addOwn(`sd_bus_open_${kind}`, []);
  }

  call(method: BusMethod, signature: string, args: readonly BusValue[]): readonly BusValue[] {
    const { member } = method;
    // Calls that only read are not recorded.
    if (member === "Get") return [this.#manager.controlGroup];
    this.#recordCall(method, signature, args);
    if (member === "SetUnitProperties") this.#manager.changeUnit(byName(args[2]));
    if (member === "StartTransientUnit") {
      const unit = String(args[0]);
      if (!this.#manager.startUnit(unit, byName(args[2]))) {
        // In systemd's words.
        const message = `Unit ${unit} was already loaded or has a fragment file.`;
        throw new BusError("org.freedesktop.systemd1.UnitExists", message, "EEXIST");
      }
    }
    return [JOB];
  }

  awaitSignal(_signal: object, _signature: string, matches: (args: readonly BusValue[]) => boolean): boolean {
    return matches([1n, JOB, "", "done"]);
  }

  close(): void {}

  /** Records the call, and then each property of the unit by itself, since each has a pointer of its own. */
  #recordCall(method: BusMethod, signature: string, args: readonly BusValue[]): void {
    const { member, pointers = [] } = method;
    const texts = busTexts(signature, args);
    const at = typesOf(signature).indexOf(PROPERTY_LIST);
    if (at >= 0) texts[at] = "[...]";
    this.#recorder.addOwn(`${method.interface}.${member}`, texts);
    if (at < 0) return;
    for (const [index, property] of asArray(args[at]).entries()) {
      const [name, variant] = asArray(property);
      const [type, value = ""] = asArray(variant);
      this.#recordProperty(String(name), busText(String(type), value), pointers[index] ?? "");
    }
  }

  #recordProperty(name: string, value: string, pointer: string): void {
    const purpose = pointer === "" ? "set what the unit of every container has" : `set ${name} of the unit`;
    this.#recorder.add({ by: "runtime", pointer, purpose, call: UNIT_PROPERTY, args: [name, value] });
  }
}

function typesOf(signature: string): string[] {
  const types: string[] = [];
  for (let rest = signature; rest !== ""; rest = rest.slice(types.at(-1)?.length))
    types.push(firstType(rest));
  return types;
}

/** Properties by name. If two have the same name, the last one counts. */
function byName(properties: BusValue | undefined): ReadonlyMap<string, BusValue> {
  return new Map(
    asArray(properties).map((property) => {
      const [name, variant] = asArray(property);
      return [String(name), asArray(variant)[1] ?? ""];
    }),
  );
}
