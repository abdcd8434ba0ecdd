import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { asObject, parseObject } from "../harness/json.ts";
import { IS_RUNTS, RUNTIME } from "../harness/runtime.ts";
import { COVERAGE } from "./properties.ts";
import { LISTING_MS, titlesOfTests } from "./titles.ts";

const ROOT = join(import.meta.dirname, "../..");

type Schema = Readonly<Record<string, unknown>>;

interface Property {
  readonly pointer: string;
  /** Values of an enumeration, without the empty string that stands for none. */
  readonly values: readonly string[];
}

/** Every property of config.json that the runtime's validator knows. */
function properties(): Property[] {
  const schema = parseObject(readFileSync(join(ROOT, "src/spec/config-schema.json"), "utf8"));
  const definitions = asObject(schema.definitions);
  const found: Property[] = [];
  const visit = (node: Schema, pointer: string): void => {
    const { $ref, properties: members, items, additionalProperties, enum: values } = node;
    if (typeof $ref === "string") visit(asObject(definitions[$ref.replace("#/definitions/", "")]), pointer);
    else if (members !== undefined) {
      for (const [name, member] of Object.entries(asObject(members)))
        visit(asObject(member), `${pointer}/${name}`);
    } else if (items !== undefined) visit(asObject(items), `${pointer}/*`);
    else if (typeof additionalProperties === "object") visit(asObject(additionalProperties), `${pointer}/*`);
    else
      found.push({
        pointer,
        values: Array.isArray(values) ? values.map(String).filter((value) => value !== "") : [],
      });
  };
  visit(schema, "");
  return found;
}

/** The options of mounts. The schema does not list them, since any other word is data for the file system. */
function mountOptions(): Property {
  const { mountOptions } = parseObject(execFileSync(RUNTIME, ["features"], { encoding: "utf8" }));
  if (!Array.isArray(mountOptions)) throw new Error("features has no mountOptions");
  return { pointer: "/mounts/*/options/*", values: mountOptions.map(String) };
}

/** A pattern for a title of the table. In the name of a test, the clause follows the title. */
function pattern(title: string, value: string | undefined): RegExp {
  const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const rest = title.endsWith("…") ? "" : " \\(";
  const parts = title.replace(/…$/, "").split("{}").map(literal);
  const [first = "", ...others] = parts;
  // With a value, the first {} is that value.
  const text = others.reduce(
    (sum, part, index) => `${sum}${index === 0 && value !== undefined ? literal(value) : ".+"}${part}`,
    first,
  );
  return new RegExp(`^${text}${rest}`);
}

describe.skipIf(!IS_RUNTS)("coverage of config.json", () => {
  let titles: string[] = [];
  const known = properties();
  const enumerations = [...known.filter(({ values }) => values.length > 0), mountOptions()];

  beforeAll(() => {
    titles = titlesOfTests();
  }, LISTING_MS);

  test("every property has a row", () => {
    const rows = Object.keys(COVERAGE).filter((key) => !key.includes("="));
    const without = known.filter(({ pointer }) => !rows.some((row) => `${pointer}/`.startsWith(`${row}/`)));
    expect(without.map(({ pointer }) => pointer)).toEqual([]);
  });

  test("every row is about a property, and has a test", () => {
    const pointers = known.map(({ pointer }) => pointer);
    for (const [key, tests] of Object.entries(COVERAGE)) {
      const [row = "", value] = key.split("=");
      expect(
        pointers.some((pointer) => `${pointer}/`.startsWith(`${row}/`)),
        key,
      ).toBe(true);
      expect(tests.length, key).toBeGreaterThan(0);
      const allowed = enumerations.find(({ pointer }) => pointer === row)?.values ?? [];
      if (value !== undefined && value !== "{}") expect(allowed, key).toContain(value);
    }
  });

  test("every title in a row is the title of a test", () => {
    const missing = Object.entries(COVERAGE).flatMap(([key, tests]) =>
      tests
        .filter((title) => !titles.some((name) => pattern(title, undefined).test(name)))
        .map((title) => `${key}: ${title}`),
    );
    expect(missing).toEqual([]);
  });

  test("every value of an enumeration has a test", () => {
    const missing = enumerations.flatMap(({ pointer, values }) =>
      values.filter((value) => !isTested(pointer, value)).map((value) => `${pointer}=${value}`),
    );
    expect(missing).toEqual([]);
  });

  /** Whether a value has a row of its own, or a test by the row for all values. */
  function isTested(pointer: string, value: string): boolean {
    if (COVERAGE[`${pointer}=${value}`] !== undefined) return true;
    const shared = COVERAGE[`${pointer}={}`] ?? [];
    return shared.some(
      (title) => !title.includes("{}") || titles.some((name) => pattern(title, value).test(name)),
    );
  }
});
