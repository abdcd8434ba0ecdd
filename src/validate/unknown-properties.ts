import schema from "../spec/config-schema.json" with { type: "json" };
import { isObject } from "../spec/json/reader.ts";
import { pointerToken } from "../spec/json/scanner.ts";
import { type Tell, warning } from "./finding.ts";
import { mostSimilar } from "./similar.ts";

/** Pointers of the properties of other platforms. */
const OTHERS = new Set(["/windows", "/solaris", "/vm", "/zos", "/freebsd"]);

/** Properties of the specification that only cgroup v1 has. */
const IGNORED_ON_PURPOSE =
  /^\/linux\/resources\/(?:memory\/(?:kernel|kernelTCP|useHierarchy)|network)(?:\/|$)/;

/** Reports names that the specification doesn't know. A runtime must ignore them, misspelt properties included. */
export function unknownProperties(config: unknown, tell: Tell): void {
  visit(config, schema, "", tell);
}

function visit(value: unknown, rule: unknown, pointer: string, tell: Tell): void {
  const resolved = resolve(rule);
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) visit(item, resolved.items, `${pointer}/${index}`, tell);
    return;
  }
  if (!isObject(value)) return;
  const { properties, additionalProperties } = resolved;
  for (const [name, inner] of Object.entries(value)) {
    const at = `${pointer}/${pointerToken(name)}`;
    if (isObject(properties) && Object.hasOwn(properties, name)) visit(inner, properties[name], at, tell);
    else if (isObject(additionalProperties)) visit(inner, additionalProperties, at, tell);
    else if (isObject(properties) && !OTHERS.has(at) && !IGNORED_ON_PURPOSE.test(at)) {
      const meant = mostSimilar(name, Object.keys(properties));
      const hint = meant === undefined ? undefined : `did you mean ${JSON.stringify(meant)}?`;
      tell(warning("unknown-property", at, "is not a property of the specification, and is ignored", hint));
    }
  }
}

function resolve(rule: unknown): Record<string, unknown> {
  if (!isObject(rule)) return {};
  const { $ref, allOf } = rule;
  const definitions: Record<string, unknown> = schema.definitions;
  const base = typeof $ref === "string" ? resolve(definitions[$ref.slice("#/definitions/".length)]) : {};
  const parts = Array.isArray(allOf) ? allOf.map(resolve) : [];
  return Object.assign({}, base, ...parts, rule);
}
