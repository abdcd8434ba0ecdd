import type { IntelRdt } from "../spec/types.ts";

/** A value for a group's `schemata` file, and the property or option that asks for it. */
export interface SchemaWrite {
  readonly value: string;
  readonly pointer: string;
}

/** Values in the order of config-linux.md, IntelRdt: l3CacheSchema, memBwSchema, then the lines of schemata. */
export function schemaWrites({ l3CacheSchema, memBwSchema, schemata }: IntelRdt): SchemaWrite[] {
  const writes = [
    { value: l3CacheSchema ?? "", pointer: "/linux/intelRdt/l3CacheSchema" },
    { value: memBwSchema ?? "", pointer: "/linux/intelRdt/memBwSchema" },
    ...(schemata ?? []).map((value, index) => ({ value, pointer: `/linux/intelRdt/schemata/${index}` })),
  ];
  return writes.filter(({ value }) => value !== "");
}

/**
 * Whether a group's `schemata` already have a value. The kernel may write it with leading blanks, leading zeros or in another order, and
 * rounds a bandwidth up to the next multiple of `granularity`.
 */
export function matchesSchemata(value: string, schemata: string, granularity: number): boolean {
  const present = new Map(parseSchemata(schemata).map(({ resource, domains }) => [resource, domains]));
  return parseSchemata(value).every(({ resource, domains }) => {
    const found = present.get(resource);
    return [...domains].every(([domain, wanted]) => {
      const is = found?.get(domain);
      return is === wanted || (resource === "MB" && is === roundedUp(wanted, granularity));
    });
  });
}

interface Schema {
  readonly resource: string;
  /** Values by cache id. */
  readonly domains: ReadonlyMap<string, string>;
}

/** Parses lines such as `L3:0=ff;1=f`. */
function parseSchemata(text: string): Schema[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const colon = line.indexOf(":");
    const domains = new Map<string, string>();
    for (const part of line.slice(colon + 1).split(";")) {
      const [id = "", value = ""] = part.split("=");
      if (id.trim() !== "") domains.set(plainNumber(id), plainNumber(value));
    }
    return { resource: line.slice(0, Math.max(0, colon)).trim(), domains };
  });
}

/** Strips `0x` and leading zeros, so that equal numbers are equal texts, hexadecimal masks and decimal bandwidths alike. */
function plainNumber(text: string): string {
  return text
    .trim()
    .toLowerCase()
    .replace(/^0x/, "")
    .replace(/^0+(?=.)/, "");
}

function roundedUp(value: string, granularity: number): string {
  return String(Math.ceil(Number(value) / granularity) * granularity);
}
