import { UNDO, withPurpose } from "../../bindings/ffi/purpose.ts";
import { rmdirSync } from "../../bindings/linux/directories.ts";
import { FileError } from "../../bindings/linux/file-call.ts";
import { readlinkSync } from "../../bindings/linux/files.ts";
import { mountsOf } from "../../bindings/linux/mount-info.ts";
import { tryReadCgroupFile } from "../cgroup/files.ts";
import { planResources } from "../cgroup/limits/plan.ts";
import { readStats } from "../cgroup/stats.ts";
import type { GlobalOptions } from "../container/context.ts";
import { readSavedState, type SavedState, savedConfigPath } from "../container/record/saved-state.ts";
import { prepareStateRoot } from "../container/record/state-root.ts";
import { stateOf } from "../container/record/status.ts";
import { examine } from "../doctor/container.ts";
import { type Host, inspectHost } from "../doctor/host.ts";
import { judgeHost } from "../doctor/host-judgement.ts";
import { errorCode, RuntsError } from "../errors.ts";
import { type ExplainOptions, explainContainer } from "../explain/explain.ts";
import { textOf } from "../inspect/kernel-features.ts";
import { NAMESPACE_FLAGS } from "../plan/namespaces.ts";
import { loadLibseccomp } from "../seccomp/compile.ts";
import { parseConfig } from "../spec/config.ts";
import { readJson } from "../spec/json/reader.ts";
import { namespaceFile } from "../spec/namespaces.ts";
import { readRegularFile } from "../spec/regular-file.ts";
import type { Config } from "../spec/types.ts";
import { validateBundle } from "../validate/validate.ts";
import { commit, specVersion, version } from "../version.ts";
import { tokensOf } from "./config-lines.ts";
import type { Report, ReportedConfig, ReportedContainer } from "./report.ts";

/** A bundle as `explain` takes it: with the options of `create`. */
export type BundleOptions = Omit<ExplainOptions, "configText">;

/** Collects the facts of a bundle. Without `host`, nothing of this host is looked at but what the config names. */
export async function collectBundle(
  context: GlobalOptions,
  options: BundleOptions,
  { host }: { readonly host: boolean },
): Promise<Report> {
  const { bundle, configFile } = options;
  const path = configFile ?? `${bundle}/config.json`;
  const bytes = readRegularFile(path);
  const problems = new Problems();
  const validation = await validateBundle(context, { bundle, ...(configFile && { configFile }), host });
  const config = reportedConfig(path, bytes, validation);
  const facts = host ? problems.try("this host", inspectHost) : undefined;
  const explanation =
    config.parsed === undefined
      ? undefined
      : await explainContainer(context, { ...options, configText: bytes }, () => prepareStateRoot(context));
  return {
    subject: bundle,
    config,
    ...(explanation !== undefined && { explanation }),
    ...(host && { host: facts === undefined ? [] : judgeHost(facts) }),
    ...common(facts),
    problems: problems.texts,
  };
}

/** Collects the facts of a container in any state. It may change or end meanwhile: then some are missing. */
export async function collectContainer(given: GlobalOptions, id: string): Promise<Report> {
  const { directory, saved } = readSavedState(given.root, id);
  const context = contextOfCreate(given, saved);
  const path = savedConfigPath(context.root, id);
  const bytes = readRegularFile(path);
  const problems = new Problems();
  const validation = await validateBundle(context, { bundle: saved.bundle, configFile: path, host: false });
  const config = reportedConfig(path, bytes, validation);
  const container = reportedContainer(context, directory, saved, config.parsed, problems);
  const facts = problems.try("this host", inspectHost);
  const explanation = config.parsed && (await explainAnew(context, directory, saved, bytes));
  return {
    subject: id,
    config,
    container,
    ...(explanation !== undefined && { explanation }),
    host: facts === undefined ? [] : judgeHost(facts),
    ...common(facts),
    problems: problems.texts,
  };
}

function common({ criu }: Partial<Host> = {}): Pick<Report, "made" | "versions"> {
  const { bun, node } = process.versions;
  const libseccomp = libseccompVersion();
  return {
    made: new Date().toISOString(),
    versions: [
      ["runts", commit === undefined ? version : `${version} (commit ${commit})`],
      ["OCI runtime specification", specVersion],
      ["JavaScript engine", bun === undefined ? `Node.js ${node}` : `Bun ${bun}`],
      ["Linux", `${textOf("/proc/sys/kernel/osrelease")} ${process.arch}`],
      ...(libseccomp === undefined ? [] : ([["libseccomp", libseccomp]] as const)),
      ...(criu === undefined ? [] : ([["criu", criu.replace(/^Version: /, "")]] as const)),
    ],
  };
}

/** Returns undefined where libseccomp is not installed. */
function libseccompVersion(): string | undefined {
  try {
    return loadLibseccomp().version();
  } catch (error) {
    if (error instanceof RuntsError) return undefined;
    throw error;
  }
}

/** Messages about what could not be read. Errors of the program itself are thrown on. */
class Problems {
  readonly texts: string[] = [];

  try<T>(what: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      const isExpected = error instanceof RuntsError || /^E(?!RR_)/.test(errorCode(error));
      if (!(error instanceof Error) || !isExpected) throw error;
      this.texts.push(`${what} could not be read: ${error.message}`);
      return undefined;
    }
  }

  listOf<T>(what: string, read: () => readonly T[]): readonly T[] {
    return this.try(what, read) ?? [];
  }
}

function reportedConfig(
  path: string,
  bytes: Uint8Array,
  validation: ReportedConfig["validation"],
): ReportedConfig {
  // Throws for what is no JSON: without its structure, nothing in it can be masked.
  const { text } = readJson(bytes, path);
  const parsed = tryParse(bytes);
  return { path, tokens: tokensOf(text), validation, ...(parsed !== undefined && { parsed }) };
}

/** Returns undefined for a config with errors: the validation names them. */
function tryParse(bytes: Uint8Array): Config | undefined {
  try {
    return parseConfig(bytes, "config");
  } catch (error) {
    if (error instanceof RuntsError) return undefined;
    throw error;
  }
}

function reportedContainer(
  context: GlobalOptions,
  directory: string,
  saved: SavedState,
  config: Config | undefined,
  problems: Problems,
): ReportedContainer {
  const state = stateOf(directory, saved);
  const { cgroup } = saved;
  // The first finding says what the state says, too.
  const [, ...findings] = problems.listOf("the container", () => examine(context, saved.id));
  if (state.pid === 0)
    return { state, findings, cgroup, limits: new Map(), mounts: [], namespaces: new Map() };
  const usage = cgroup === "" ? undefined : problems.try("the cgroup", () => readStats(cgroup));
  const files = planResources(config?.linux?.resources ?? {}).map(({ file }) => file);
  const limits = files.flatMap((file): [string, string][] => {
    const text = cgroup === "" ? undefined : tryReadCgroupFile(cgroup, file);
    return text === undefined ? [] : [[file, text.trim()]];
  });
  return {
    state,
    findings,
    cgroup,
    limits: new Map(limits),
    ...(usage !== undefined && { usage }),
    mounts: problems.listOf("the container's mounts", () => mountsOf(state.pid)),
    namespaces: namespaceNumbers(state.pid),
  };
}

function namespaceNumbers(pid: number): ReadonlyMap<string, string> {
  const numbers = Object.keys(NAMESPACE_FLAGS).flatMap((type): [string, string][] => {
    try {
      const number = /\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/${namespaceFile(type)}`))?.[1];
      return number === undefined ? [] : [[type, number]];
    } catch {
      return [];
    }
  });
  return new Map(numbers);
}

/** The options that a container was created with, as far as its record tells. */
function contextOfCreate(
  context: GlobalOptions,
  { cgroup, scope, allowedAnnotations }: SavedState,
): GlobalOptions {
  const hasScope = scope !== undefined;
  return {
    ...context,
    systemdCgroup: hasScope,
    noCgroup: cgroup === "" && !hasScope,
    allowedAnnotations: Object.keys(allowedAnnotations ?? {}),
  };
}

/** Explains the create of a container that is there: in the simulation, its directory and its cgroup are removed first. */
async function explainAnew(
  context: GlobalOptions,
  directory: string,
  saved: SavedState,
  configText: Uint8Array,
): ReturnType<typeof explainContainer> {
  const { id, bundle, cgroup } = saved;
  // A sandbox is its own bundle.
  const isSandbox = bundle === directory;
  const given = { id, bundle, configText, makesRootfs: isSandbox, underInit: isSandbox } as const;
  const options = { ...given, noPivot: false, noNewKeyring: false, preserveFds: 0 } as const;
  return explainContainer(context, { ...options, as: "root" }, () => {
    prepareStateRoot(context);
    withPurpose("", UNDO, () => {
      for (const made of [directory, ...(cgroup === "" ? [] : [cgroup])]) removeInSimulation(made);
    });
  });
}

/** A stopped container may have no cgroup any more. */
function removeInSimulation(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
  }
}
