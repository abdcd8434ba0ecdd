// Writes src/spec/config-validator.generated.js from src/spec/config-schema.json.
// The validators are generated, since compiling a schema at run time costs more than starting a container.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import Ajv, { _ } from "ajv";
import standaloneCode from "ajv/dist/standalone/index.js";

const SPEC = new URL("../src/spec/", import.meta.url);
const OUTPUT = new URL("config-validator.generated.js", SPEC);
const HEADER =
  "// Generated from config-schema.json by `node scripts/generate-config-validator.mjs`. Do not edit.\n";

const RANGES = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint16: [0n, 2n ** 16n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
  // A user or group: the last number of 32 bits means "leave it as it is" to setresuid(2), setresgid(2) and chown(2).
  id: [0n, 2n ** 32n - 2n],
};

/**
 * Replaces standard keywords by our two. `{ "type": "integer", "format": F }` becomes one check instead of four. `enum` becomes a check whose
 * error contains the allowed names, so that the generated code need not contain the schema.
 */
function specialise(schema) {
  if (Array.isArray(schema)) return schema.map(specialise);
  if (typeof schema !== "object" || schema === null) return schema;
  const { type, format, ...rest } = schema;
  if (type === "integer" && typeof format === "string") return { ...rest, integer: format };
  if (Array.isArray(schema.enum)) return { choice: schema.enum };
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, specialise(value)]));
}

/** Checks an integer's range, and replaces a 64-bit integer by a bigint, so that a valid config has its final types. */
const INTEGER_KEYWORD = {
  keyword: "integer",
  schemaType: "string",
  modifying: true,
  code(cxt) {
    const { gen, data, schema: format, it } = cxt;
    const [minimum, maximum] = RANGES[format];
    const isWide = format.endsWith("int64");
    const low =
      minimum === 0n
        ? _`${data} < 0`
        : isWide
          ? _`${data} < ${big(minimum)}`
          : _`${data} < ${Number(minimum)}`;
    const high = _`${data} > ${isWide ? big(maximum) : Number(maximum)}`;
    const integer = _`Number.isInteger(${data})`;
    const kind = isWide ? _`typeof ${data} != "bigint" && !${integer}` : _`!${integer}`;
    cxt.fail(_`${kind} || ${low} || ${high}`);
    if (isWide)
      gen.code(
        _`else if(typeof ${data} == "number") ${it.parentData}[${it.parentDataProperty}] = BigInt(${data})`,
      );
  },
  error: { params: ({ schema }) => _`{format: ${schema}}` },
};

/** A bigint literal. ajv's code template would print a bigint value as a string. */
function big(value) {
  return _([`${value}n`]);
}

const CHOICE_KEYWORD = {
  keyword: "choice",
  schemaType: "array",
  code(cxt) {
    cxt.fail(cxt.schema.map((name) => _`${cxt.data} !== ${name}`).reduce((all, one) => _`${all} && ${one}`));
  },
  error: { params: ({ schema }) => _`{allowed: ${schema.filter((name) => name !== "").join(", ")}}` },
};

/** Added to the generated code: the function that the calls of `shorten` need. */
const FAIL = `
function fail(errors, instancePath, keyword, params) {
  const error = { instancePath, keyword, params };
  if (errors === null) return [error];
  errors.push(error);
  return errors;
}
`;

/**
 * Shortens ajv's code: each error becomes a call, and functions take the pointer only. That halves the size of the file, which determines the
 * cost of running it once.
 */
function shorten(code) {
  return code
    .replace(
      /const (err\d+) = \{instancePath(?::(.*?))?,schemaPath:"[^"]*",keyword:("\w+"),params:(\{.*\})\};\nif\(vErrors === null\)\{\nvErrors = \[\1\];\n\}\nelse \{\nvErrors\.push\(\1\);\n\}\nerrors\+\+;/g,
      (_match, _name, path = "instancePath", keyword, params) =>
        `vErrors = fail(vErrors, ${path}, ${keyword}, ${params});`,
    )
    .replace(/\{instancePath:(.*?),parentData:\w+,parentDataProperty:[^,]+,rootData\}/g, "$1")
    .replace(/\{instancePath="", parentData, parentDataProperty, rootData=data\}=\{\}/g, 'instancePath = ""')
    .replace(/^(?:let errors = 0;|errors = vErrors\.length;)\n/gm, "")
    .replace(/^return errors === 0;$/gm, "return vErrors === null;")
    .replace(/^const schema\d+ = .*;\n/gm, "");
}

/** Removes duplicate functions, which ajv writes for an entry that is also a part of a config. */
function shareFunctions(code) {
  const firstWith = new Map();
  const sameAs = new Map();
  const shared = code.replace(
    /^function (validate\d+)\([\s\S]*?^return vErrors === null;\n\}\n\n?/gm,
    (text, name) => {
      const body = text.replaceAll(name, "validate").trimEnd();
      const first = firstWith.get(body) ?? name;
      firstWith.set(body, first);
      sameAs.set(name, first);
      return first === name ? text : "";
    },
  );
  return shared.replace(/\bvalidate\d+\b/g, (name) => sameAs.get(name) ?? name);
}

export function generateConfigValidator() {
  const schema = specialise(JSON.parse(readFileSync(new URL("config-schema.json", SPEC), "utf8")));
  const ajv = new Ajv({
    allErrors: true,
    messages: false,
    inlineRefs: false,
    unicodeRegExp: false,
    strict: true,
    code: { source: true, esm: true, lines: true },
  });
  ajv.addKeyword(INTEGER_KEYWORD);
  ajv.addKeyword(CHOICE_KEYWORD);
  ajv.addSchema(schema);
  const entries = {
    validateConfig: "config",
    validateProcess: "config#/definitions/process",
    validateResources: "config#/definitions/resources",
  };
  const code = shareFunctions(shorten(standaloneCode(ajv, entries)));
  const stray = /require\(|\bschema(?:\d+|Path)\b|\berr\d+\b|\berrors\+\+|parentData|rootData/.exec(code);
  if (stray !== null) throw new Error(`the generated validator must stand alone, yet it has ${stray[0]}`);
  return HEADER + code + FAIL;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(OUTPUT, generateConfigValidator());
}
