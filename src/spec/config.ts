import { type ConfigIssue, RuntsError } from "../errors.ts";
import { validateConfig, validateProcess, validateResources } from "./config-validator.generated.js";
import { type Report, schemaIssue } from "./issues.ts";
import { invalid, isObject, type JsonDocument, readJson } from "./json/reader.ts";
import { pointerToken } from "./json/scanner.ts";
import { readRegularFile } from "./regular-file.ts";
import { RULES } from "./rules/rules.ts";
import type { Config, Linux, LinuxResources, Mount, Process } from "./types.ts";

const CONFIG_NAME = "config.json";

/** What reaches system calls; annotations and unknown properties do not. */
const NUL_CHECKED = ["root", "process", "hostname", "domainname", "mounts", "hooks", "linux"] as const;

/** Takes the place of a part that breaks the schema, so that the rules on the other parts can still run. */
const PLACEHOLDER = { ociVersion: "1.0.0", root: { path: "rootfs" } };
const PROCESS_PLACEHOLDER = { cwd: "/", args: ["true"] };

/** Reads and validates a bundle's config.json; all its problems are in one error. */
export function readConfig(bundle: string): Config {
  return readConfigAndBytes(bundle).config;
}

/** The same, with the bytes that the config was read from; `file` takes the place of the bundle's own, also in errors. */
export function readConfigAndBytes(
  bundle: string,
  file?: string,
): { readonly config: Config; readonly bytes: Uint8Array } {
  const bytes = readRegularFile(file ?? `${bundle}/${CONFIG_NAME}`);
  return { config: parseConfig(bytes, file ?? CONFIG_NAME), bytes };
}

/**
 * A config.json that obeyed all rules when this program saved it, where nobody else may write. The schema is applied again, since
 * that gives the properties their types.
 */
export function readValidConfig(directory: string): Config {
  const path = `${directory}/${CONFIG_NAME}`;
  const { value } = readDocument(readRegularFile(path), path);
  if (validateConfig(value)) return value;
  throw new RuntsError(`${path} is damaged: it is no valid config`, { operation: "read", path });
}

/** `source` names the text in errors. */
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

/** The same rules for a process.json, as exec takes it. */
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

/** The same rules for a list of mounts, as `mounts` takes it, for a container with this `linux`. */
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

/**
 * The same rules for `linux.resources` alone, as update takes it. Those that compare values see what `merged` makes of it:
 * the resources as they are after the update.
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

/** Violated rules of resources that obey the schema, with pointers from `linux.resources` on. */
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
  // Go's encoder writes null for an absent list, map or pointer.
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

/** What remains of a config without the parts that have issues, cut at the depth at which rules name what they read. */
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

/** Issues that can be found in a config of any shape. */
function valueIssues({ text, value }: Pick<JsonDocument, "text" | "value">): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const report: Report = (pointer, message) => issues.push({ pointer, message });
  // Written out, since the text of a JSON document can't hold the byte itself.
  if (text.includes("\\u0000") && isObject(value)) {
    for (const part of NUL_CHECKED) findNul(value[part], `/${part}`, report);
  }
  return issues;
}

/** The kernel's strings end at a NUL byte, so one that contains it would silently mean something else. */
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
