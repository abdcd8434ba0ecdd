import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { fuzzing, Random } from "../../bindings/random.test-support.ts";
import { runCommandLine } from "./command-line.ts";
import { commands } from "./commands.ts";
import { globalOptions } from "./options/global-options.ts";
import type { Option, OptionTable } from "./options/option.ts";
import { written } from "./written.test-support.ts";

/**
 * Command lines made of words that the parser knows and words that it doesn't: each does its work or is one clear error. The commands
 * are the real ones, on a kernel that refuses all changes.
 */

vi.mock("../../bindings/ffi/koffi.ts", async (original) => {
  const { readOnlyKernel } = await import("./read-only-kernel.test-support.ts");
  return readOnlyKernel(original);
});

vi.mock("../../bindings/linux/files.ts", async (original) => {
  const { capturingFiles } = await import("./written.test-support.ts");
  return capturingFiles(original);
});

const { cases, seed } = fuzzing(4000);
const cwd = process.cwd();
let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-argv-"));
  process.chdir(directory);
});
afterEach(() => {
  process.chdir(cwd);
  rmSync(directory, { recursive: true });
});

const WORDS = [
  ..."box -1 0 1 007 1e9 1.5 9223372036854775808 0x10 true false TRUE yes json text table error debug KILL SIGTERM 64 65".split(
    " ",
  ),
  ..."a=b =b a= 0-3 0-3,,9 A=B 1000:1000 1: :1 a:b:c +x 10ms 5s -- --- -x -bx -h=0 --=x --no-help ---help".split(
    " ",
  ),
  "",
  " ",
  "a b",
  "a\nb",
  "\u001b[31m",
  "é",
  "\ud800",
  "__proto__",
  "--__proto__",
  "--constructor=1",
  "--toString",
  "--help.x=1",
  "--a.b.c",
  "--no-",
  "x".repeat(5000),
  "/dev/null/x",
  "..",
  "../..",
];

function commandLine(random: Random): string[] {
  const command = random.pick(commands);
  const options = (from: OptionTable) =>
    Array.from({ length: random.below(4) }, () =>
      option(random, ...random.pick(Object.entries(from))),
    ).flat();
  const noise = () => (random.chance(0.3) ? [random.pick(WORDS)] : []);
  const name = random.chance(0.9) ? [command.name] : noise();
  const ids = Array.from({ length: random.below(4) }, () =>
    random.chance(0.5) ? "box" : random.pick(WORDS),
  );
  const line = [
    ...options(globalOptions),
    ...noise(),
    ...name,
    ...options(command.options),
    ...noise(),
    ...ids,
    ...noise(),
  ];
  if (random.chance(0.1)) line.splice(random.below(line.length + 1), random.below(3));
  return line;
}

function option(random: Random, name: string, { alias }: Option): string[] {
  const value = random.chance(0.7) ? random.pick(WORDS) : "1";
  const dashes = random.pick(["-", "--", "--", "--no-"]);
  const form = alias !== undefined && random.chance(0.3) ? `-${alias}` : `${dashes}${name}`;
  return random.pick([[form], [`${form}=${value}`], [form, value], [`${form}${value}`]]);
}

/** Describes what is wrong with an outcome; undefined if nothing is. */
function fault(code: number, out: string, err: string): string | undefined {
  if (!Number.isInteger(code) || code < 0 || code > 255) return `exit code ${code}`;
  if (/internal error|\n\s+at |TypeError|RangeError|undefined|\[object /.test(err))
    return "an error of the JavaScript engine";
  if (/undefined|\[object |NaN/.test(out)) return "an output of the JavaScript engine";
  return undefined;
}

it(`${cases} command lines of seed ${seed}: each does its work or is one clear error`, {
  timeout: 120_000,
}, async () => {
  const random = new Random(seed);
  const codes = new Map<number, number>();
  for (let i = 0; i < cases; i++) {
    const argv = commandLine(random);
    written.out = "";
    written.err = "";
    const code = await runCommandLine(["--root", join(directory, "root"), ...argv], commands);
    const found = fault(code, written.out, written.err) ?? silence(code);
    if (found !== undefined) expect.fail(`${JSON.stringify(argv)}: ${found}: ${written.err}`);
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  // Some are valid, some are not.
  expect(codes.get(0)).toBeGreaterThan(cases / 40);
  expect(codes.get(1)).toBeGreaterThan(cases / 20);
});

/** A failure without a message is wrong. */
function silence(code: number): string | undefined {
  return code !== 0 && written.err === "" ? "no error was printed" : undefined;
}
