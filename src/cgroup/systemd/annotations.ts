import type { BusValue } from "../../../bindings/linux/sd-bus.ts";
import { pointerToken } from "../../spec/json/scanner.ts";
import { invalidResource } from "../limits/cgroup-write.ts";
import type { UnitProperty } from "./properties.ts";

const PREFIX = "org.systemd.property.";

/**
 * Properties that annotations add to the unit, as in runc and crun: the name after the prefix, the value in GVariant text format. A name
 * that ends with `Sec` stands for the one with `USec`, which systemd counts in microseconds.
 */
export function annotatedProperties(annotations: Readonly<Record<string, string>>): UnitProperty[] {
  const properties: UnitProperty[] = [];
  for (const [key, text] of Object.entries(annotations)) {
    if (!key.startsWith(PREFIX)) continue;
    const name = key.slice(PREFIX.length);
    const pointer = `/annotations/${pointerToken(key)}`;
    if (!/^[A-Za-z]{3,}$/.test(name)) {
      throw invalidResource(
        pointer,
        `${JSON.stringify(name)} is not the name of a unit property, which has three letters or more`,
      );
    }
    const parsed = parseVariant(text, pointer);
    const seconds = /[a-z]Sec$/.test(name);
    properties.push(
      seconds
        ? { name: `${name.slice(0, -3)}USec`, ...microseconds(parsed, text, pointer), pointer }
        : { name, ...parsed, pointer },
    );
  }
  return properties;
}

interface Variant {
  readonly signature: string;
  readonly value: BusValue;
}

/** The integer types by keyword, with their D-Bus letters. GVariant text format, "Type annotations". */
export const INTEGERS: Readonly<Record<string, readonly [letter: string, bits: number, signed: boolean]>> = {
  byte: ["y", 8, false],
  int16: ["n", 16, true],
  uint16: ["q", 16, false],
  int32: ["i", 32, true],
  uint32: ["u", 32, false],
  int64: ["x", 64, true],
  uint64: ["t", 64, false],
};

/** Parses booleans, integers with and without a keyword, strings and lists of strings, which is all that systemd's properties need. */
function parseVariant(given: string, pointer: string): Variant {
  const text = given.trim();
  if (text === "true" || text === "false") return { signature: "b", value: text === "true" };
  if (/^["'].*["']$/s.test(text)) return { signature: "s", value: parseString(text, pointer) };
  if (/^\[.*\]$/s.test(text)) return { signature: "as", value: parseList(text.slice(1, -1), pointer) };
  const [, keyword = "int32", digits = ""] =
    /^(?:([a-z]+[0-9]*)\s+)?([+-]?(?:0x[0-9a-fA-F]+|[0-9]+))$/.exec(text) ?? [];
  const type = Object.hasOwn(INTEGERS, keyword) ? INTEGERS[keyword] : undefined;
  if (digits === "" || type === undefined)
    throw invalidResource(pointer, `${JSON.stringify(given)} is not a GVariant`);
  const [letter, bits, signed] = type;
  const magnitude = BigInt(digits.replace(/^[+-]/, ""));
  const value = digits.startsWith("-") ? -magnitude : magnitude;
  const fits = value === (signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value));
  if (!fits) throw invalidResource(pointer, `${digits} does not fit into ${keyword}`);
  return { signature: letter, value };
}

const STRING = /\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*/sy;

function parseList(text: string, pointer: string): string[] {
  const items: string[] = [];
  if (text.trim() === "") return items;
  for (let at = 0; ; at += 1) {
    STRING.lastIndex = at;
    const [matched = "", quoted = ""] = STRING.exec(text) ?? [];
    if (quoted === "") throw invalidResource(pointer, `${JSON.stringify(text)} is not a list of strings`);
    items.push(parseString(quoted, pointer));
    at += matched.length;
    if (at === text.length) return items;
    if (text.charAt(at) !== ",")
      throw invalidResource(pointer, `${JSON.stringify(text)} is not a list of strings`);
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function parseString(quoted: string, pointer: string): string {
  STRING.lastIndex = 0;
  if (STRING.exec(quoted)?.[0] !== quoted || quoted.includes("\0")) {
    throw invalidResource(pointer, `${JSON.stringify(quoted)} is not a GVariant string`);
  }
  return quoted
    .slice(1, -1)
    .replace(
      /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/gs,
      (_match, short?: string, long?: string, other = "") =>
        other === ""
          ? String.fromCodePoint(Number.parseInt(short ?? long ?? "", 16))
          : (ESCAPES[other] ?? other),
    );
}

function microseconds({ signature, value }: Variant, text: string, pointer: string): Variant {
  if (typeof value !== "bigint" || value < 0n || value * 1_000_000n >= 1n << 64n || signature === "y") {
    throw invalidResource(pointer, `${JSON.stringify(text)} is not a number of seconds`);
  }
  return { signature: "t", value: value * 1_000_000n };
}
