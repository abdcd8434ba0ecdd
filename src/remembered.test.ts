import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { compile, root, startsWithoutEnvironment, usesOf } from "./remembered.test-support.ts";
import { stateOf } from "./state.test-support.ts";

/**
 * A warm start continues from the memory of another process. Whatever Bun or a module remembers is that process's, and two starts
 * from the same image remember the same. This test lists everything that may be remembered, with the reason why it is right in any
 * process. biome.json forbids the modules and global objects of which nothing may be used at all.
 */

const OWN_PROCESS = "bindings/linux/own-process.ts";
const KOFFI = "bindings/ffi/koffi.ts";

/** Global functions and values that may be used: everywhere, or only in these files. */
const MAY_BE_ASKED: Readonly<Record<string, readonly string[] | "everywhere">> = {
  // Facts about the executable.
  "process.arch": "everywhere",
  "process.versions": "everywhere",
  // It counts from the start of the process that was frozen, so only differences have a meaning.
  "performance.now": "everywhere",
  // They keep no state.
  "Bun.hash": ["bindings/ffi/hash.ts"],
  "Bun.gc": ["src/freeze/await-thaw.ts"],
  // Libraries are loaded in the first process, and stay loaded.
  "process.dlopen": [KOFFI],
  "process.getuid": [KOFFI],
  "process.getBuiltinModule": [KOFFI, "src/log.ts"],
  // Asked only by a process that starts cold.
  "process.env": [KOFFI, OWN_PROCESS],
  "process.argv": ["src/main.ts"],
  "process.exit": ["src/main.ts"],
  // Used by the library only, which is never frozen.
  "process.emitWarning": ["src/library/settings.ts"],
};

/** The call to use instead. */
const REMEDIES: Readonly<Record<string, string>> = {
  "process.pid": `ownPid() of ${OWN_PROCESS}`,
  "process.cwd": `workingDirectory() of ${OWN_PROCESS}`,
  "process.env": `environment() of ${OWN_PROCESS}`,
  "process.geteuid": `effectiveUid() of ${OWN_PROCESS}`,
  "process.getegid": `effectiveGid() of ${OWN_PROCESS}`,
  "process.argv": "src/main.ts hands the arguments over",
  "process.exit": "return the exit code to src/main.ts",
  "process.hrtime": "differences of performance.now()",
  "process.uptime": "differences of performance.now()",
  "performance.timeOrigin": "differences of performance.now()",
  "Math.random": "randomNumber() of bindings/linux/random.ts",
  "process.stdout": "src/cli/output.ts",
  "process.stderr": "src/log.ts",
};
const OTHERWISE = "ask the kernel through bindings/linux; Bun may remember its first answer";

/** Methods that use the language and the time zone of the process that was frozen. */
const LOCAL_METHODS = new Set([
  "getDate",
  "getDay",
  "getFullYear",
  "getHours",
  "getMinutes",
  "getMonth",
  "getTimezoneOffset",
  "localeCompare",
  "toDateString",
  "toLocaleDateString",
  "toLocaleString",
  "toLocaleTimeString",
  "toLocaleLowerCase",
  "toLocaleUpperCase",
  "toTimeString",
]);

const COMPILED_LIBRARY = "points into the same image as the loaded library";
const SIMULATION = "set while explain or a profile runs, and undefined afterwards";
const PLACE_IS_SET = "lastIndex is set before each use";
const LIBRARY = "used by the library only, which is never frozen";

/**
 * Module-level state, and why it is right in any process. Not listed: the generated validators, which are JavaScript, keep the errors of
 * their last call until the next one.
 */
const MAY_BE_KEPT: Readonly<Record<string, string>> = {
  "bindings/ffi/koffi.ts koffi": COMPILED_LIBRARY,
  "bindings/ffi/purpose.ts current": "set for one synchronous action, and restored at its end",
  "bindings/ffi/syscall.ts invoke": COMPILED_LIBRARY,
  "bindings/ffi/syscall.ts substitute": SIMULATION,
  "bindings/linux/files.ts space": "a buffer, which each read overwrites before it is used",
  "bindings/linux/netlink.ts substitute": SIMULATION,
  "bindings/linux/own-process.ts adopted": "set by each process that starts warm",
  "bindings/linux/sd-bus.ts substitute": SIMULATION,
  "bindings/stub/encode.ts space": "a buffer with the last program, zeroed before the next one is written",
  "bindings/stub/encode.ts used": "length of the last program in that buffer",
  "bindings/stub/client.ts tap": SIMULATION,
  "src/cgroup/systemd/annotations.ts STRING": PLACE_IS_SET,
  "src/freeze/await-thaw.ts thawed": "set by each process that starts warm",
  "src/freeze/write-image.ts ZEROS": "never written to",
  "src/init/copy-up.ts registersOf": "keyed by channels to stubs, and collected with them",
  "src/init/reap-lost-clone.ts known":
    "pids of children; the pids in an explanation are higher than any of the kernel: src/explain/names.ts",
  "src/init/clone-by-stub.ts DEFAULT_ACTION": "the kernel only reads it",
  "src/library/index.ts exits": LIBRARY,
  "src/library/waiting.ts watch": LIBRARY,
  "src/main.ts process.exit(await (isFreezing(given) ? resumed() : main(given)));": "the program itself",
  "src/plan/structs.ts knownHows": "bytes that depend only on their key",
  "src/spec/json/scanner.ts BLANK": PLACE_IS_SET,
  "src/spec/json/scanner.ts NUMBER": PLACE_IS_SET,
  "src/spec/json/scanner.ts STRING": PLACE_IS_SET,
};

/** A module with each kind of use and state, to see that the test finds it. Names of what is allowed begin with `right`. */
const SAMPLE = "src/remembered-sample.ts";
const SAMPLE_TEXT = `
import { spawnSync } from "node:child_process";
import { randomNumber } from "../bindings/linux/random.ts";
import { mkdtempSync } from "node:fs";
export let variable = 1;
export const rightSet = new Set([1]), filled = new Set<number>();
export const rightTable = { a: [1] }, table = { a: [1] }, tableOfTables = { a: { b: 1 } };
const rightReadonly: readonly number[] = [1], handed = [1], returned = new Uint8Array(1);
const asked = randomNumber(), made = mkdtempSync("/tmp/a"), rightExpression = /a/, expression = /a/g;
const shared = counter(), counted = countFrom(1), rightFunction = () => counter();
function counter() { let count = 0; return () => count++; }
function countFrom(start: number) { return () => start++; }
function remembering() { remembering.cache = rightReadonly.length; }
remembering.cache = 0;
class One { static one = 1; static readonly rightOne = 1; static readonly list = [1]; static { One.one = 2; } }
const instance = new One(), inTable = { one: new One() };
function take(numbers: number[]) { numbers.push(1); }
function look(numbers: readonly number[]) { return numbers.length; }
export function act(process: { pid: number }, performance: number) {
  filled.add(asked);
  table.a.push(rightTable.a.length);
  tableOfTables.a.b++;
  take(handed);
  look(rightTable.a);
  const local = [1];
  local.push(process.pid, performance);
  const { pid, ppid: parent } = globalThis.process;
  const text = new Date().toLocaleString();
  const { title } = p();
  return { local, expression, rightExpression, made, shared, counted, rightFunction, instance, inTable, returned, pid, parent, text, title };
}
const p = () => process;
export function more() {
  const { umask, cwd: directory } = process;
  spawnSync("a", [], { env: {} });
  spawnSync("b", [], { cwd: "/" });
  return [umask, directory, typeof process, Math.random(), Math.max(1, 2), performance.timeOrigin];
}
`;

const files = ["src", "bindings"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter(
      (entry) =>
        entry.isFile() && /\.ts$/.test(entry.name) && !/\.(test|test-support|d)\.ts$/.test(entry.name),
    )
    .map((entry) => relative(root, join(entry.parentPath, entry.name))),
);
const sources = compile([...files, SAMPLE], { [SAMPLE]: SAMPLE_TEXT });
const uses = usesOf(
  sources,
  new Set(["Bun", "Math", "globalThis", "performance", "process"]),
  LOCAL_METHODS,
).filter(({ name }) => !name.startsWith("Math.") || name === "Math.random");
const state = stateOf(sources);
const started = startsWithoutEnvironment(sources);

describe("facts about a process", () => {
  it("come from the kernel, not from a global object", () => {
    const wrong = uses.filter(({ path, name }) => {
      const allowed = MAY_BE_ASKED[name] ?? [];
      return path !== SAMPLE && allowed !== "everywhere" && !allowed.includes(path);
    });
    const told = wrong.map(({ path, name }) => {
      const isLocal = name.startsWith(".");
      const remedy = isLocal
        ? "a method that gives the same everywhere, such as toISOString()"
        : (REMEDIES[name] ?? OTHERWISE);
      return `${path}: ${name}: instead ${remedy}`;
    });
    expect(told).toEqual([]);
  });

  it("come from a global object in the listed files only, and each listed use exists", () => {
    const used = new Set(uses.map(({ path, name }) => `${path} ${name}`));
    const listed = Object.entries(MAY_BE_ASKED).flatMap(([name, paths]) =>
      paths === "everywhere" ? [] : paths.map((path) => `${path} ${name}`),
    );
    expect(listed.filter((use) => !used.has(use))).toEqual([]);
  });

  it("are not passed on: each child process gets an explicit environment", () => {
    expect(started.filter((call) => !call.startsWith(SAMPLE))).toEqual([]);
  });

  it("are found in the sample", () => {
    expect(uses.filter(({ path }) => path === SAMPLE).map(({ name }) => name)).toEqual([
      "globalThis.process",
      ".toLocaleString",
      "process",
      "process.umask",
      "process.cwd",
      "Math.random",
      "performance.timeOrigin",
    ]);
    expect(started.filter((call) => call.startsWith(SAMPLE))).toEqual([
      `${SAMPLE}: spawnSync("b", [], { cwd: "/" })`,
    ]);
  });
});

describe("module-level state", () => {
  it("is listed, with the reason why it is right in any process", () => {
    const wrong = state.filter(
      ({ path, name }) => path !== SAMPLE && MAY_BE_KEPT[`${path} ${name}`] === undefined,
    );
    expect(wrong.map(({ path, name, because }) => `${path}: ${name} ${because}`)).toEqual([]);
  });

  it("exists, if it is listed", () => {
    const found = new Set(state.map(({ path, name }) => `${path} ${name}`));
    expect(Object.keys(MAY_BE_KEPT).filter((entry) => !found.has(entry))).toEqual([]);
  });

  it("is found in the sample", () => {
    const found = state.filter(({ path }) => path === SAMPLE).map(({ name }) => name);
    expect(found.sort()).toEqual(
      [
        "variable",
        "filled",
        "table",
        "tableOfTables",
        "handed",
        "returned",
        "asked",
        "made",
        "expression",
        "shared",
        "counted",
        "inTable",
        "remembering",
        "remembering.cache = 0;",
        "one",
        "list",
        "static",
        "One",
        "instance",
      ].sort(),
    );
  });
});
