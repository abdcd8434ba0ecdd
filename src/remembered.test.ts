import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { compile, root, startsWithoutEnvironment, usesOf } from "./remembered.test-support.ts";
import { stateOf } from "./state.test-support.ts";

/**
 * The program may go on from memory that was written down in another process: what the engine or a module remembers is that
 * process's, and two that go on from the same memory remember the same. Here is all that may be remembered, with the reason why that
 * is right in any process. biome.json forbids Node's modules and the engine's objects of which nothing may be used at all.
 */

const OWN_PROCESS = "bindings/linux/own-process.ts";
const KOFFI = "bindings/ffi/koffi.ts";

/** What may be asked of the engine: everywhere, or in these files. */
const MAY_BE_ASKED: Readonly<Record<string, readonly string[] | "everywhere">> = {
  // Of the executable.
  "process.arch": "everywhere",
  "process.versions": "everywhere",
  // The clock of all processes of this boot. Its beginning is that of the engine: nothing but differences have a meaning.
  "performance.now": "everywhere",
  // It keeps nothing.
  "Bun.hash": ["bindings/ffi/hash.ts"],
  "Bun.gc": ["src/freeze/await-thaw.ts"],
  // What is loaded stays loaded, and is loaded in the first process.
  "process.dlopen": [KOFFI],
  "process.getuid": [KOFFI],
  "process.getBuiltinModule": [KOFFI, "src/log.ts"],
  // The first process is asked for its own.
  "process.env": [KOFFI, OWN_PROCESS],
  "process.argv": ["src/main.ts"],
  "process.exit": ["src/main.ts"],
  // Of the library, which is never written down.
  "process.emitWarning": ["src/library/settings.ts"],
};

/** What to do instead. */
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
const OTHERWISE = "ask the kernel, by a call of bindings/linux; the engine may remember its first answer";

/** Methods that know the language and the time zone of the engine's start. */
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

const COMPILED_LIBRARY = "of the engine's memory, where the loaded library is as well";
const SIMULATION = "set while something is explained or measured, and undefined after that";
const PLACE_IS_SET = "its place is set before each use";
const LIBRARY = "of the library, which is never written down";

/**
 * Module-level state, and why it is right in any process. The generated validators, which are no TypeScript, keep the errors of their
 * last use, until the next one.
 */
const MAY_BE_KEPT: Readonly<Record<string, string>> = {
  "bindings/ffi/koffi.ts koffi": COMPILED_LIBRARY,
  "bindings/ffi/purpose.ts current": "of one synchronous action, whose end restores it",
  "bindings/ffi/syscall.ts invoke": COMPILED_LIBRARY,
  "bindings/ffi/syscall.ts substitute": SIMULATION,
  "bindings/linux/files.ts space": "what was read last, and is not looked at before it is read over",
  "bindings/linux/netlink.ts substitute": SIMULATION,
  "bindings/linux/own-process.ts adopted": "set by each process that goes on",
  "bindings/linux/sd-bus.ts substitute": SIMULATION,
  "bindings/stub/encode.ts space": "the last program, and zeroed before the next one is written to it",
  "bindings/stub/encode.ts used": "how much of that it takes",
  "bindings/stub/client.ts tap": SIMULATION,
  "src/cgroup/systemd/annotations.ts STRING": PLACE_IS_SET,
  "src/freeze/await-thaw.ts thawed": "set by each process that goes on",
  "src/freeze/write-image.ts ZEROS": "never written to",
  "src/init/copy-up.ts registersOf": "of the channels to stubs, and gone with them",
  "src/init/reap-lost-clone.ts known":
    "numbers of children; those of an explanation are above all that the kernel gives: src/explain/names.ts",
  "src/init/clone-by-stub.ts DEFAULT_ACTION": "the kernel only reads it",
  "src/library/index.ts exits": LIBRARY,
  "src/library/waiting.ts watch": LIBRARY,
  "src/main.ts process.exit(await (isFreezing(given) ? resumed() : main(given)));": "the program itself",
  "src/plan/structs.ts knownHows": "bytes that depend on their key alone",
  "src/spec/json/scanner.ts BLANK": PLACE_IS_SET,
  "src/spec/json/scanner.ts NUMBER": PLACE_IS_SET,
  "src/spec/json/scanner.ts STRING": PLACE_IS_SET,
};

/** A module that does all of it, to see that it is found: what is right is called `right…`. */
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

describe("what the engine remembers of a process", () => {
  it("is asked of the kernel", () => {
    const wrong = uses.filter(({ path, name }) => {
      const allowed = MAY_BE_ASKED[name] ?? [];
      return path !== SAMPLE && allowed !== "everywhere" && !allowed.includes(path);
    });
    const told = wrong.map(({ path, name }) => {
      const isLocal = name.startsWith(".");
      const remedy = isLocal
        ? "what is the same everywhere, as toISOString()"
        : (REMEDIES[name] ?? OTHERWISE);
      return `${path}: ${name}: instead ${remedy}`;
    });
    expect(told).toEqual([]);
  });

  it("is asked where it may be", () => {
    const used = new Set(uses.map(({ path, name }) => `${path} ${name}`));
    const listed = Object.entries(MAY_BE_ASKED).flatMap(([name, paths]) =>
      paths === "everywhere" ? [] : paths.map((path) => `${path} ${name}`),
    );
    expect(listed.filter((use) => !used.has(use))).toEqual([]);
  });

  it("goes to no program that is started: its environment is named", () => {
    expect(started.filter((call) => !call.startsWith(SAMPLE))).toEqual([]);
  });

  it("is found", () => {
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

describe("what a module remembers", () => {
  it("is right in any process", () => {
    const wrong = state.filter(
      ({ path, name }) => path !== SAMPLE && MAY_BE_KEPT[`${path} ${name}`] === undefined,
    );
    expect(wrong.map(({ path, name, because }) => `${path}: ${name} ${because}`)).toEqual([]);
  });

  it("is there", () => {
    const found = new Set(state.map(({ path, name }) => `${path} ${name}`));
    expect(Object.keys(MAY_BE_KEPT).filter((entry) => !found.has(entry))).toEqual([]);
  });

  it("is found", () => {
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
