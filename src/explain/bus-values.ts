import { asArray, type BusValue, firstType } from "../../bindings/linux/sd-bus.ts";
import { INTEGERS } from "../cgroup/systemd/annotations.ts";

/** D-Bus values in the text format of GVariant, in which annotations give the values of properties. */

const KEYWORDS = new Map(Object.entries(INTEGERS).map(([keyword, [letter]]) => [letter, keyword]));

/** Each value as text, by the types of a signature. */
export function busTexts(signature: string, values: readonly BusValue[]): string[] {
  let rest = signature;
  return values.map((value) => {
    const type = firstType(rest);
    rest = rest.slice(type.length);
    return busText(type, value);
  });
}

export function busText(type: string, value: BusValue): string {
  if (type.startsWith("a"))
    return `[${asArray(value)
      .map(itemText(type.slice(1)))
      .join(", ")}]`;
  if (type.startsWith("(")) return `(${busTexts(type.slice(1, -1), asArray(value)).join(", ")})`;
  if (type === "y") return `byte 0x${Number(value).toString(16).padStart(2, "0")}`;
  if (type === "s" || type === "o") return JSON.stringify(value);
  // These need no keyword in the text format.
  if (type === "i" || type === "b") return String(value);
  return `${KEYWORDS.get(type) ?? type} ${value}`;
}

/** Only the first item of an array has a keyword, which is that of all. */
function itemText(type: string): (item: BusValue, index: number) => string {
  return (item, index) => {
    const text = busText(type, item);
    return index > 0 && typeof item === "bigint" ? text.slice(text.indexOf(" ") + 1) : text;
  };
}
