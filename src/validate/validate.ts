import { oneLine } from "../../bindings/abi/printable.ts";
import type { GlobalOptions } from "../container/context.ts";
import { rootfsOf } from "../container/create/bundle.ts";
import { prepareStateRoot } from "../container/record/state-root.ts";
import { type ConfigIssue, RuntsError } from "../errors.ts";
import { explainContainer } from "../explain/explain.ts";
import { ContainerView } from "../inspect/container-view.ts";
import { readConfigAndBytes } from "../spec/config.ts";
import { isObject, type JsonDocument, readJson } from "../spec/json/reader.ts";
import { readRegularFile } from "../spec/regular-file.ts";
import type { Config } from "../spec/types.ts";
import { annotationRules } from "./annotation-rules.ts";
import { type Finding, failure, type Tell, type Validation, warning } from "./finding.ts";
import { hostRules } from "./host-rules.ts";
import { landlockRules } from "./landlock-rules.ts";
import { eachHook, linuxRules } from "./linux-rules.ts";
import { mountRules } from "./mount-rules.ts";
import { processRules } from "./process-rules.ts";
import { mostSimilar } from "./similar.ts";
import { unknownProperties } from "./unknown-properties.ts";

export interface ValidateOptions {
  readonly bundle: string;
  readonly configFile?: string;
  /** Whether to report what this host's kernel, its cgroups or this user can't do as well. */
  readonly host: boolean;
}

/** Finds all that is wrong with a bundle at once. */
export async function validateBundle(context: GlobalOptions, options: ValidateOptions): Promise<Validation> {
  const file = options.configFile ?? `${options.bundle}/config.json`;
  const found: Finding[] = [];
  const said = new Map<string, Set<string>>();
  const tell: Tell = (finding) => {
    const { pointer, message, rule } = finding;
    const before = said.get(pointer) ?? new Set();
    // Findings of create come last, and are dropped for properties that a rule has reported.
    if (before.has(message) || (before.size > 0 && rule.startsWith("create-"))) return;
    said.set(pointer, before.add(message));
    found.push(finding);
  };
  const document = readDocument(file);
  const config = readConfig(options, document, tell);
  if (document !== undefined) unknownProperties(document.value, tell);
  const notes = config === undefined ? [] : await judge(context, config, options, tell);
  const findings = found.map((finding) => located(finding, document)).sort(inOrder);
  const errors = findings.filter(({ severity }) => severity === "error").length;
  return { file, errors, warnings: findings.length - errors, findings, notes };
}

/** Returns undefined for a file that is not JSON: readConfig reports why. */
function readDocument(file: string): JsonDocument | undefined {
  try {
    return readJson(readRegularFile(file), file);
  } catch {
    return undefined;
  }
}

function readConfig(
  { bundle, configFile }: ValidateOptions,
  document: JsonDocument | undefined,
  tell: Tell,
): Config | undefined {
  try {
    return readConfigAndBytes(bundle, configFile).config;
  } catch (error) {
    if (!(error instanceof RuntsError)) throw error;
    // Their lines are known, also those of a text that is not JSON or has a name twice.
    for (const issue of error.issues)
      tell({ ...issue, ...failure("config", issue.pointer, issue.message, hintFor(issue, document)) });
    if (error.issues.length === 0) tell(failure("unreadable", "", error.message));
    return undefined;
  }
}

/** For a word that is none of those allowed: the one that may be meant. */
function hintFor({ message, pointer }: ConfigIssue, document: JsonDocument | undefined): string | undefined {
  const allowed = /^must be one of (.*)$/.exec(message)?.[1];
  const value = document === undefined ? undefined : valueAt(document.value, pointer);
  if (allowed === undefined || typeof value !== "string") return undefined;
  const meant = mostSimilar(value, allowed.split(/,\s*|\s+or\s+/));
  return meant === undefined ? undefined : `did you mean ${JSON.stringify(meant)}?`;
}

function valueAt(root: unknown, pointer: string): unknown {
  let value = root;
  for (const token of pointer.split("/").slice(1)) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    value = Array.isArray(value) ? value[Number(name)] : isObject(value) ? value[name] : undefined;
  }
  return value;
}

/** Returns what could not be judged. */
async function judge(
  context: GlobalOptions,
  config: Config,
  options: ValidateOptions,
  tell: Tell,
): Promise<readonly string[]> {
  const { bundle, host } = options;
  linuxRules(config, tell);
  annotationRules(context, config, tell);
  const view = new ContainerView(config, bundle, findRootfs(config, bundle, tell));
  processRules(config, view, tell);
  mountRules(config, bundle, view, tell);
  landlockRules(config, view, tell);
  containerHooks(config, view, tell);
  if (!host) return [];
  hostRules(config, bundle, tell);
  return await rehearse(context, options, tell);
}

/** Returns undefined for a rootfs that can't be used: then its files count as unknown, and the rest is judged. */
function findRootfs(config: Config, bundle: string, tell: Tell): string | undefined {
  try {
    return rootfsOf(config, bundle);
  } catch (error) {
    if (!(error instanceof RuntsError)) throw error;
    tell(failure("rootfs", "/root/path", withoutPointer(error)));
    return undefined;
  }
}

function containerHooks(config: Config, view: ContainerView, tell: Tell): void {
  eachHook(config, ({ path }, pointer, kind) => {
    if (kind !== "startContainer") return;
    const seen = view.look(path);
    if (seen.is === "missing") tell(failure("hook", `${pointer}/path`, `${path} is not in the container`));
    if (seen.is === "there" && (seen.status.mode & 0o111) === 0)
      tell(failure("hook", `${pointer}/path`, `${path} is not executable`));
  });
}

/** Runs create and start without their effects, and reports what they would refuse or warn of. Returns the notes of the simulation. */
async function rehearse(
  context: GlobalOptions,
  options: ValidateOptions,
  tell: Tell,
): Promise<readonly string[]> {
  const { bundle, configFile } = options;
  const { error, warnings, notes } = await explainContainer(
    context,
    {
      id: "validate",
      bundle,
      ...(configFile !== undefined && { configFile }),
      noPivot: false,
      noNewKeyring: false,
      preserveFds: 0,
      as: "caller",
    },
    () => prepareStateRoot(context),
  );
  if (error !== undefined)
    tell(failure("create-fails", error.pointer, stripped(error.message, error.pointer)));
  for (const message of warnings) {
    const [, pointer = "", text = message] = /^(\/\S+?): (.*)$/.exec(message) ?? [];
    tell(warning("create-warns", pointer, text));
  }
  return notes;
}

function withoutPointer(error: RuntsError): string {
  return stripped(error.message, error.pointer ?? "");
}

function stripped(message: string, pointer: string): string {
  const prefix = oneLine(`${pointer}: `);
  return pointer !== "" && message.startsWith(prefix) ? message.slice(prefix.length) : message;
}

function located(finding: Finding, document: JsonDocument | undefined): Finding {
  const line = finding.line ?? (finding.pointer === "" ? undefined : document?.lineAt(finding.pointer));
  const { severity, rule, pointer, message, hint } = finding;
  return {
    severity,
    rule,
    pointer,
    ...(line !== undefined && { line }),
    message,
    ...(hint !== undefined && { hint }),
  };
}

/** Orders by line; errors before warnings on one line. */
function inOrder(one: Finding, other: Finding): number {
  const lines = (one.line ?? 0) - (other.line ?? 0);
  return lines !== 0 ? lines : one.severity < other.severity ? -1 : one.severity > other.severity ? 1 : 0;
}
