import { isObject } from "./reader.ts";

/** Like JSON.stringify, but accepts bigints. */
export function toJson(value: unknown): string {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(toJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${toJson(member)}`).join(",")}}`;
}

/** Like toJson, with two spaces for each level, as JSON.stringify writes it. */
export function toIndentedJson(value: unknown, indent = ""): string {
  const inner = `${indent}  `;
  const between = (open: string, parts: readonly string[], close: string) =>
    parts.length === 0 ? open + close : `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${indent}${close}`;
  if (Array.isArray(value)) {
    const items = value.map((item) => toIndentedJson(item, inner));
    return between("[", items, "]");
  }
  if (!isObject(value)) return toJson(value);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  const texts = members.map(([name, member]) => `${JSON.stringify(name)}: ${toIndentedJson(member, inner)}`);
  return between("{", texts, "}");
}
