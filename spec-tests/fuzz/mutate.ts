import { asObject } from "../harness/json.ts";
import { toText } from "./bases.ts";
import type { Random } from "./random.ts";
import { ADDITIONS, NUMBERS, STRANGE_STRINGS, WORDS } from "./samples.ts";

/** A place in a config. */
interface Place {
  readonly parent: Record<string, unknown> | unknown[];
  readonly key: string;
  readonly value: unknown;
}

export interface Mutant {
  /** The changes in words, for whoever looks into a failure. */
  readonly changes: readonly string[];
  readonly text: string;
}

type Change = (config: Record<string, unknown>, random: Random) => string;

/** Makes mutants: one to three changes of a base config, and sometimes one of its text. */
export class Mutator {
  readonly #bases: readonly Record<string, unknown>[];
  /** The values that the bases have for each property, by its name. */
  readonly #seen = new Map<string, unknown[]>();

  constructor(bases: readonly Record<string, unknown>[]) {
    this.#bases = bases;
    for (const place of bases.flatMap((base) => placesOf(base))) {
      const values = this.#seen.get(place.key) ?? [];
      values.push(place.value);
      this.#seen.set(place.key, values);
    }
  }

  mutant(random: Random): Mutant {
    const config = asObject(clone(random.pick(this.#bases)));
    const changes: string[] = [];
    const count = random.pick([1, 1, 1, 1, 2, 2, 3]);
    for (let index = 0; index < count; index++) changes.push(this.#change(random)(config, random));
    const text = toText(config);
    if (random.below(12) > 0) return { changes, text };
    const [name, spoilt] = spoil(text, random);
    return { changes: [...changes, name], text: spoilt };
  }

  #change(random: Random): Change {
    const put = (name: string, value: (place: Place, random: Random) => unknown): Change => {
      return (config) => {
        const place = random.pick(placesOf(config));
        const chosen = value(place, random);
        replace(place, chosen);
        return `${name} ${place.key}: ${shorten(JSON.stringify(chosen))}`;
      };
    };
    return random.pick<Change>([
      remove,
      remove,
      repeat,
      add,
      add,
      add,
      put("retype", (place) => retyped(place.value, random)),
      put("string", () => random.pick(STRANGE_STRINGS)),
      put("word", () => random.pick(WORDS)),
      ofType("string", "string", () => random.pick(STRANGE_STRINGS)),
      ofType("word", "string", () => random.pick(WORDS)),
      ofType("number", "number", () => random.pick(NUMBERS)),
      put("swap", ({ key, value }) => clone(random.pick(this.#seen.get(key) ?? [value]))),
      put("swap", ({ key, value }) => clone(random.pick(this.#seen.get(key) ?? [value]))),
      put("transplant", () => clone(random.pick(placesOf(random.pick(this.#bases))).value)),
    ]);
  }
}

function clone(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Every property, and the first eight items of each list: otherwise most mutations would hit the names of system calls. */
function placesOf(value: unknown): Place[] {
  const places: Place[] = [];
  const visit = (parent: unknown): void => {
    if (Array.isArray(parent)) {
      for (const [index, item] of parent.slice(0, 8).entries()) {
        places.push({ parent, key: String(index), value: item });
        visit(item);
      }
    } else if (typeof parent === "object" && parent !== null) {
      const object: Record<string, unknown> = objectItself(parent);
      for (const [key, item] of Object.entries(object)) {
        places.push({ parent: object, key, value: item });
        visit(item);
      }
    }
  };
  visit(value);
  return places;
}

function isRecord(value: object): value is Record<string, unknown> {
  return !Array.isArray(value);
}

/** The object itself; asObject makes a copy. */
function objectItself(value: object): Record<string, unknown> {
  if (!isRecord(value)) throw new Error("not an object");
  return value;
}

function replace({ parent, key }: Place, value: unknown): void {
  if (Array.isArray(parent)) parent[Number(key)] = value;
  else Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
}

function remove(config: Record<string, unknown>, random: Random): string {
  const { parent, key } = random.pick(placesOf(config));
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
  return `remove ${key}`;
}

function repeat(config: Record<string, unknown>, random: Random): string {
  const items = placesOf(config).filter(({ parent }) => Array.isArray(parent));
  if (items.length === 0) return "nothing to repeat";
  const { parent, key, value } = random.pick(items);
  if (Array.isArray(parent)) parent.splice(Number(key), 0, clone(value));
  return `repeat item ${key}`;
}

function add(config: Record<string, unknown>, random: Random): string {
  const [path, value] = random.pick(ADDITIONS);
  const names = path.split("/");
  let parent: Record<string, unknown> = config;
  for (const name of names.slice(0, -1)) {
    const inner = parent[name];
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return `no place for ${path}`;
    parent = objectItself(inner);
  }
  parent[names.at(-1) ?? ""] = clone(value);
  return `add ${path}: ${shorten(JSON.stringify(value))}`;
}

function ofType(name: string, type: "string" | "number", value: () => unknown): Change {
  return (config, random) => {
    const places = placesOf(config).filter((place) => typeof place.value === type);
    if (places.length === 0) return `no ${type}`;
    const place = random.pick(places);
    const chosen = value();
    replace(place, chosen);
    return `${name} ${place.key}: ${shorten(JSON.stringify(chosen))}`;
  };
}

function retyped(value: unknown, random: Random): unknown {
  return random.pick<unknown>([
    null,
    true,
    false,
    {},
    [],
    [value],
    { value },
    String(value),
    Number(value) || 0,
    random.pick(NUMBERS),
    random.pick(STRANGE_STRINGS),
  ]);
}

/** Changes that are possible only in the text of a config. */
function spoil(text: string, random: Random): readonly [name: string, text: string] {
  const at = random.below(text.length);
  const around = (middle: string) => text.slice(0, at) + middle + text.slice(at);
  const depth = random.pick([10, 1000, 100_000]);
  return random.pick([
    ["cut off", text.slice(0, at)],
    ["cut out", text.slice(0, at) + text.slice(at + 1 + random.below(20))],
    ["NUL", around("\u0000")],
    ["a stray character", around(random.pick(['"', "{", "]", ",", ":", "\\", "/*", "\ufeff", "é"]))],
    ["a name twice", text.replace(/"(\w+)":/, '"$1":null,"$1":')],
    ["a nested name twice", text.replace('"namespaces":', '"namespaces":[],"namespaces":')],
    ["text after the end", `${text}{}`],
    ["an escape", text.replace("/rootfs", "\\u002frootfs")],
    ["half a surrogate", text.replace("/rootfs", "/rootfs\\ud800")],
    ["deep arrays", text.replace(/^\{/, `{"deep":${"[".repeat(depth)}${"]".repeat(depth)},`)],
    ["deep objects", text.replace(/^\{/, `{"deep":${'{"a":'.repeat(depth)}1${"}".repeat(depth)},`)],
    ["a long number", text.replace(/:(\d+)/, `:${"9".repeat(400)}`)],
    ["white space", ` \n\t${text}\r\n`],
  ]);
}
