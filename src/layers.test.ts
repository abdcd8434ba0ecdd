import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";

/**
 * Checks which files may import which, over all sources: neither the compiler nor the linter does. To change a rule, change it here
 * first, with its reason.
 */

const root = join(import.meta.dirname, "..");

/** Layers of src that one of them may import, beside itself and bindings. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  main: ["warm", "freeze", "cli", "version"],
  warm: ["cli", "inspect", "explain", "sandbox", "seccomp", "spec"],
  library: ["sandbox", "container", "plan", "spec", "errors", "log"],
  cli: [
    "freeze",
    "debug",
    "doctor",
    "profile",
    "report",
    "validate",
    "explain",
    "sandbox",
    "container",
    "criu",
    "spec",
    "errors",
    "log",
    "version",
  ],
  debug: ["container", "log"],
  sandbox: ["container", "plan", "spec", "errors", "log", "version"],
  freeze: ["errors"],
  profile: ["container", "version"],
  // Pages have what the commands beside it print.
  report: [
    "profile",
    "doctor",
    "validate",
    "explain",
    "inspect",
    "container",
    "cgroup",
    "seccomp",
    "plan",
    "spec",
    "errors",
    "version",
  ],
  inspect: ["container", "cgroup", "plan", "spec", "errors"],
  validate: ["inspect", "explain", "container", "cgroup", "plan", "spec", "errors"],
  explain: ["inspect", "container", "init", "cgroup", "plan", "spec", "errors"],
  container: ["init", "cgroup", "resctrl", "seccomp", "criu", "plan", "spec", "errors", "log", "version"],
  doctor: ["profile", "inspect", "freeze", "container", "init", "cgroup", "plan", "spec"],
  init: ["plan", "spec", "errors"],
  cgroup: ["plan", "spec", "errors"],
  resctrl: ["spec", "errors"],
  seccomp: ["plan", "spec", "errors"],
  criu: ["plan", "spec", "errors"],
  plan: ["spec", "errors"],
  spec: ["errors", "version"],
  log: ["errors"],
  errors: [],
  version: [],
  "bindings/stub": ["bindings/linux", "bindings/ffi", "bindings/abi", "bindings/syscall-error"],
  "bindings/linux": ["bindings/ffi", "bindings/abi", "bindings/syscall-error"],
  "bindings/ffi": ["bindings/abi", "bindings/syscall-error"],
  "bindings/launcher": [],
  "bindings/cxx-runtime": [],
  "bindings/abi": [],
  "bindings/syscall-error": [],
};

/** Packages by the one folder whose files may load them. */
const packageOwners: Readonly<Record<string, string>> = {
  koffi: "bindings/ffi",
  "@koromix": "bindings/ffi",
  "bun:ffi": "bindings/ffi",
  yargs: "cli",
  "yargs-parser": "cli",
};

/**
 * The layers whose system calls `explain` answers itself, and that run before an image is written: a module of Node's would reach the
 * real kernel, and remember what it has seen of one process.
 */
const withoutNode: readonly string[] = [
  "container",
  ...(mayImport.container ?? []),
  ...Object.keys(mayImport).filter((layer) => layer.startsWith("bindings/")),
];

/** Files of those layers that take modules of Node's all the same, each with the reason. */
const mayUseNode: Readonly<Record<string, string>> = {
  "bindings/ffi/koffi.ts":
    "opens koffi, without which there are no system calls, where no launcher has done so",
  "src/log.ts": "tells that koffi could not be loaded",
};

/** A file beyond this needs a reason below: most such files hold two subjects. */
const linesToAskAt = 400;

/** The longer files, each with the reason why it is one. */
const longFiles: Readonly<Record<string, string>> = {};

interface Import {
  readonly specifier: string;
  /** Path from the root of the repository, of a relative import. */
  readonly target: string | undefined;
}

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

/** `import … from`, `export … from`, `import "…"`, at the start of a line; and `import("…")`, also as a type, anywhere. */
const importPattern =
  /^(?:import|export)\b[^;"'`]*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;

function readSource(path: string): Source {
  const text = readFileSync(join(root, path), "utf8");
  const imports = [...text.matchAll(importPattern)].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? "";
    const target = specifier.startsWith(".") ? join(dirname(path), specifier) : undefined;
    return { specifier, target };
  });
  return { path, text, imports };
}

function readSources(folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|js|mjs)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort()
    .map(readSource);
}

/** "cli" of src/cli/commands/run.ts, "errors" of src/errors.ts, "bindings/abi" of bindings/abi/errno.ts. */
function layerOf(path: string): string {
  const [top = "", name = "", ...rest] = path.split("/");
  const part = rest.length > 0 ? name : name.replace(/\.(test|kernel\.test)?\.?ts$/, "");
  return top === "src" ? part : `${top}/${part}`;
}

/** All sources with their unit tests, which may import only what the code beside them may import. */
const sources = [...readSources("src"), ...readSources("bindings")];
const specTests = readSources("spec-tests");
const isTest = (path: string): boolean => /\.(test|test-support)\.ts$/.test(path);
const isGenerated = (path: string): boolean => /\.generated\.(d\.)?[jt]s$/.test(path);

function importsBy(
  from: readonly Source[],
): { path: string; specifier: string; target: string | undefined }[] {
  return from.flatMap(({ path, imports }) => imports.map((entry) => ({ path, ...entry })));
}

function isAllowed(path: string, target: string): boolean {
  const from = layerOf(path);
  const to = layerOf(target);
  if (from === to) return true;
  if (path.startsWith("src/") && target.startsWith("bindings/")) return true;
  return mayImport[from]?.includes(to) ?? false;
}

function isNodes(specifier: string): boolean {
  const [name = ""] = specifier.replace(/^node:/, "").split("/");
  return specifier.startsWith("node:") || specifier.startsWith("bun:") || builtinModules.includes(name);
}

/** The first cycle found from each file that is in one, as the files' names in order. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const finished = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) cycles.push([...trail.slice(start), path].join(" → "));
    if (start >= 0 || finished.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    finished.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return cycles;
}

describe("layers", () => {
  it("has a rule for every folder", () => {
    const layers = new Set(sources.filter(({ path }) => !isTest(path)).map(({ path }) => layerOf(path)));
    expect([...layers].filter((layer) => mayImport[layer] === undefined)).toEqual([]);
  });

  it("imports name files that exist", () => {
    const known = new Set([...sources, ...specTests].map(({ path }) => path));
    const unknown = importsBy([...sources, ...specTests])
      .filter(({ target }) => target?.match(/^(src|bindings|spec-tests)\/.*\.[jt]s$/) && !known.has(target))
      .map(({ path, specifier }) => `${path} imports ${specifier}`);
    expect(unknown).toEqual([]);
  });

  it("imports go down", () => {
    const wrong = importsBy(sources.filter(({ path }) => !isTest(path)))
      .filter(({ path, target }) => target !== undefined && !isAllowed(path, target))
      .map(({ path, target }) => `${path} imports ${target}`);
    expect(wrong).toEqual([]);
  });

  it("bindings, its tests included, imports nothing of src", () => {
    const wrong = importsBy(sources)
      .filter(({ path, target }) => path.startsWith("bindings/") && target?.startsWith("src/"))
      .map(({ path, target }) => `${path} imports ${target}`);
    expect(wrong).toEqual([]);
  });

  it("code that ships imports no tests", () => {
    const wrong = importsBy(sources.filter(({ path }) => !isTest(path)))
      .filter(({ target, specifier }) => specifier === "vitest" || (target !== undefined && isTest(target)))
      .map(({ path, specifier }) => `${path} imports ${specifier}`);
    expect(wrong).toEqual([]);
  });

  it("has no import cycles", () => {
    const graph = new Map(
      [...sources, ...specTests].map(({ path, imports }) => [
        path,
        imports.flatMap(({ target }) => target ?? []),
      ]),
    );
    expect(findCycles(graph)).toEqual([]);
  });

  it("packages are loaded by the one folder that owns them", () => {
    const wrong = importsBy(sources).filter(({ path, specifier }) => {
      const name = Object.keys(packageOwners).find(
        (key) => specifier === key || specifier.startsWith(`${key}/`),
      );
      return name !== undefined && packageOwners[name] !== layerOf(path);
    });
    const natives = sources.filter(
      ({ path, text }) => !path.startsWith("bindings/ffi/") && /\bdlopen\(/.test(text),
    );
    expect([...wrong, ...natives].map(({ path }) => path).filter((path) => !isTest(path))).toEqual([]);
  });

  it("no module of Node's is imported where the system calls are simulated or frozen, on demand neither", () => {
    const found = sources.filter(
      ({ path, text, imports }) =>
        !isTest(path) &&
        withoutNode.includes(layerOf(path)) &&
        (imports.some(({ specifier }) => isNodes(specifier)) ||
          /\b(getBuiltinModule|createRequire)\(|\bimport\((?!")/.test(text)),
    );
    expect(found.map(({ path }) => path).sort()).toEqual(Object.keys(mayUseNode).sort());
  });

  it("the spec tests import neither src nor bindings, so that they can judge any runtime", () => {
    const wrong = importsBy(specTests)
      .filter(({ target }) => target !== undefined && !target.startsWith("spec-tests/"))
      .map(({ path, target }) => `${path} imports ${target}`);
    expect(wrong).toEqual([]);
  });

  it(`each file beyond ${linesToAskAt} lines has a reason, but tests, generated files and tables of the kernel's numbers`, () => {
    const long = [...sources, ...specTests]
      .filter(({ path }) => !isTest(path) && !isGenerated(path) && !path.startsWith("bindings/abi/"))
      .filter(({ text }) => text.split("\n").length - 1 > linesToAskAt)
      .map(({ path }) => path)
      .sort();
    expect(long).toEqual(Object.keys(longFiles).sort());
  });
});

describe("findCycles", () => {
  it("names the files of a cycle", () => {
    const graph = new Map([
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["b"]],
    ]);
    expect(findCycles(graph)).toEqual(["b → c → b"]);
  });

  it("finds none where two paths lead to one file", () => {
    const graph = new Map([
      ["a", ["b", "c"]],
      ["b", ["d"]],
      ["c", ["d"]],
    ]);
    expect(findCycles(graph)).toEqual([]);
  });
});
