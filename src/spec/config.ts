import { type ConfigIssue, RuntsError } from "../errors.ts";
import { validateConfig, validateProcess, validateResources } from "./config-validator.generated.js";
import { type Report, schemaIssue } from "./issues.ts";
import { invalid, isObject, type JsonDocument, readJson } from "./json/reader.ts";
import { pointerToken } from "./json/scanner.ts";
import { readRegularFile } from "./regular-file.ts";
import { RULES } from "./rules/rules.ts";
import type { Config, Linux, LinuxResources, Mount, Process, Seccomp } from "./types.ts";

const CONFIG_NAME = "config.json";

/** Properties whose strings reach system calls, unlike annotations and unknown properties. */
const NUL_CHECKED = ["root", "process", "hostname", "domainname", "mounts", "hooks", "linux"] as const;

/** Replaces a part that breaks the schema, so that the rules for other parts can still be checked. */
const PLACEHOLDER = { ociVersion: "1.0.0", root: { path: "rootfs" } };
const PROCESS_PLACEHOLDER = { cwd: "/", args: ["true"] };

/** Reads and validates a bundle's config.json. The error lists all issues. */
export function readConfig(bundle: string): Config {
  return readConfigAndBytes(bundle).config;
}

/** Like readConfig, and returns also the bytes that were read. `file`, if given, is read instead of the bundle's config.json. */
export function readConfigAndBytes(
  bundle: string,
  file?: string,
): { readonly config: Config; readonly bytes: Uint8Array } {
  const bytes = readRegularFile(file ?? `${bundle}/${CONFIG_NAME}`);
  return { config: parseConfig(bytes, file ?? CONFIG_NAME), bytes };
}

/**
 * Reads a config.json that this program validated and saved where nobody else may write. Only the schema is applied again, as it gives the
 * properties their types.
 */
export function readValidConfig(directory: string): Config {
  const path = `${directory}/${CONFIG_NAME}`;
  const { value } = readDocument(readRegularFile(path), path);
  if (validateConfig(value)) return value;
  throw new RuntsError(`${path} is damaged: it is not a valid config`, { operation: "read", path });
}

/** Parses and validates a config.json. `source` names it in errors. */
export function parseConfig(text: string | Uint8Array, source: string): Config {
  const document = readDocument(text, source);
  const { value } = document;
  if (!validateConfig(value)) {
    const issues = (validateConfig.errors ?? []).map(schemaIssue);
    const rest = withoutBroken(value, issues);
    const further = validateConfig(rest) ? ruleIssues(rest, issues) : [];
    throw located(document, source, [...issues, ...further, ...valueIssues(document)]);
  }
  const issues = [...ruleIssues(value, []), ...valueIssues(document)];
  if (issues.length > 0) throw located(document, source, issues);
  return value;
}

/** Parses the process.json of `exec`, with the same rules. */
export function parseProcess(text: string | Uint8Array, source: string): Process {
  const document = readDocument(text, source);
  const { value } = document;
  if (!validateProcess(value)) {
    throw located(document, source, (validateProcess.errors ?? []).map(schemaIssue));
  }
  const inConfig = { value: { process: value }, text: document.text };
  const issues = [...ruleIssues({ ...PLACEHOLDER, process: value }, []), ...valueIssues(inConfig)].map(
    (issue): ConfigIssue => ({ ...issue, pointer: issue.pointer.replace(/^\/process/, "") }),
  );
  if (issues.length > 0) throw located(document, source, issues);
  return value;
}

/** Parses the list of mounts for `mounts add`, with the same rules, for a container whose config has this `linux`. */
export function parseMounts(
  text: string | Uint8Array,
  source: string,
  linux: Linux | undefined,
): readonly Mount[] {
  const document = readDocument(text, source);
  const { value } = document;
  const { namespaces = [], uidMappings = [], gidMappings = [] } = linux ?? {};
  const config = { ...PLACEHOLDER, mounts: value, linux: { namespaces, uidMappings, gidMappings } };
  const below = (issue: ConfigIssue): ConfigIssue => ({
    ...issue,
    pointer: issue.pointer.replace(/^\/mounts/, ""),
  });
  if (!validateConfig(config)) {
    throw located(document, source, (validateConfig.errors ?? []).map(schemaIssue).map(below));
  }
  const inConfig = { value: { mounts: value }, text: document.text };
  const issues = [...ruleIssues(config, []), ...valueIssues(inConfig)].map(below);
  if (issues.length > 0) throw located(document, source, issues);
  return config.mounts ?? [];
}

/** Parses a seccomp profile, the `linux.seccomp` of a config, with the same rules. `source` names it in errors. */
export function parseSeccomp(text: string | Uint8Array, source: string): Seccomp {
  const document = readDocument(text, source);
  const { value } = document;
  const config = { ...PLACEHOLDER, linux: { seccomp: value } };
  const below = (issue: ConfigIssue): ConfigIssue => ({
    ...issue,
    pointer: issue.pointer.replace(/^\/linux\/seccomp/, ""),
  });
  if (!validateConfig(config)) {
    throw located(document, source, (validateConfig.errors ?? []).map(schemaIssue).map(below));
  }
  const issues = [...ruleIssues(config, []), ...valueIssues({ value: config, text: document.text })].map(
    below,
  );
  const { seccomp } = config.linux ?? {};
  if (issues.length > 0 || seccomp === undefined) throw located(document, source, issues);
  return seccomp;
}

/**
 * Parses the `linux.resources` of `update`, with the same rules. Rules that compare values are applied to the result of `merged`, the
 * resources after the update.
 */
export function parseResources(
  text: string | Uint8Array,
  source: string,
  merged: (update: LinuxResources) => LinuxResources,
): LinuxResources {
  const document = readDocument(text, source);
  const { value } = document;
  if (!validateResources(value)) {
    throw located(document, source, (validateResources.errors ?? []).map(schemaIssue));
  }
  const inConfig = { value: { linux: { resources: value } }, text: document.text };
  const issues = [...resourceIssues(merged(value)), ...valueIssues(inConfig).map(belowResources)];
  if (issues.length > 0) throw located(document, source, issues);
  return value;
}

/** Violated rules of resources that obey the schema, with pointers relative to `linux.resources`. */
export function resourceIssues(resources: LinuxResources): ConfigIssue[] {
  return ruleIssues({ ...PLACEHOLDER, process: PROCESS_PLACEHOLDER, linux: { resources } }, []).map(
    belowResources,
  );
}

function belowResources(issue: ConfigIssue): ConfigIssue {
  return { ...issue, pointer: issue.pointer.replace(/^\/linux\/resources/, "") };
}

function readDocument(text: string | Uint8Array, source: string): JsonDocument {
  const document = readJson(text, source);
  // Go encodes an absent list, map or pointer as null.
  if (document.text.includes("null")) dropNulls(document.value);
  return document;
}

function dropNulls(value: unknown): void {
  if (Array.isArray(value)) {
    for (const item of value) dropNulls(item);
  } else if (isObject(value)) {
    for (const name of Object.keys(value)) {
      if (value[name] === null) delete value[name];
      else dropNulls(value[name]);
    }
  }
}

function ruleIssues(config: Config, broken: readonly ConfigIssue[]): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const report: Report = (pointer, message) => issues.push({ pointer, message });
  for (const rule of RULES) {
    if (broken.some(({ pointer }) => rule.reads.some((read) => overlap(pointer, read)))) continue;
    rule.check(config, report);
  }
  return issues;
}

function overlap(one: string, other: string): boolean {
  return one === other || one.startsWith(`${other}/`) || other.startsWith(`${one}/`);
}

/** The config without the parts that have issues: as small as the parts that rules say they read. */
function withoutBroken(config: unknown, issues: readonly ConfigIssue[]): unknown {
  if (!isObject(config)) return undefined;
  const rest = issues.reduce((parts, { pointer }) => without(parts, pointer.split("/").slice(1)), config);
  const process = isObject(rest.process) ? { process: { ...PROCESS_PLACEHOLDER, ...rest.process } } : {};
  return { ...PLACEHOLDER, ...rest, ...process };
}

function without(parts: Record<string, unknown>, path: readonly string[]): Record<string, unknown> {
  const [name = "", ...inner] = path;
  const { [name]: part, ...rest } = parts;
  const isDivisible = name === "linux" || name === "process" || name === "resources";
  return isDivisible && inner.length > 0 && isObject(part) ? { ...rest, [name]: without(part, inner) } : rest;
}

/** Issues of single values, which can be found even in a config that breaks the schema. */
function valueIssues({ text, value }: Pick<JsonDocument, "text" | "value">): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const report: Report = (pointer, message) => issues.push({ pointer, message });
  // As an escape, since JSON can't contain the byte itself.
  if (text.includes("\\u0000") && isObject(value)) {
    for (const part of NUL_CHECKED) findNul(value[part], `/${part}`, report);
  }
  return issues;
}

/** The kernel's strings end at the first NUL byte, so a string that contains one would silently be cut off. */
function findNul(value: unknown, pointer: string, report: Report): void {
  if (typeof value === "string" && value.includes("\0")) {
    report(pointer, "must not contain a NUL byte");
  } else if (typeof value === "object" && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      const at = `${pointer}/${pointerToken(name)}`;
      if (name.includes("\0")) report(at, "must not have a NUL byte in its name");
      findNul(inner, at, report);
    }
  }
}

function located(document: JsonDocument, source: string, issues: readonly ConfigIssue[]): RuntsError {
  const withLines = issues.map((issue): ConfigIssue => {
    const line = document.lineAt(issue.pointer);
    return line === undefined ? issue : { ...issue, line };
  });
  return invalid(
    source,
    withLines.sort((one, other) => (one.line ?? 0) - (other.line ?? 0)),
  );
}
