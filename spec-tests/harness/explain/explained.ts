import type { TracedCall } from "./strace.ts";

/** An operation as `explain --json` prints it. */
export interface Explained {
  readonly step: number;
  readonly by: string;
  readonly pointer: string;
  readonly purpose: string;
  readonly call: string;
  readonly args: readonly string[];
  readonly result?: string;
  readonly if?: { readonly result: string; readonly is: string };
  readonly tolerates?: readonly string[];
}

export interface Explanation {
  readonly id: string;
  readonly operations: readonly Explained[];
  readonly warnings: readonly string[];
  readonly notes: readonly string[];
  readonly error?: { readonly message: string; readonly pointer: string };
}

/** Whether a stub makes a call to receive or answer programs: it is not an operation. */
function isServing({ call, args }: TracedCall): boolean {
  if (call === "recvmsg" || call === "munmap" || call === "exit_group") return true;
  if (call === "mmap") return args[0] === "NULL";
  return call === "sendmsg" && !(args[1] ?? "").includes("SCM_RIGHTS");
}

/** Operations of the stub that are not system calls. */
const OWN_OPERATIONS = new Set(["copy", "load", "set-channel", "await"]);

/**
 * Compares explained operations with the traced calls of a process, one by one, and throws at the first difference. Results in the trace
 * decide which operations with a condition must follow. Returns how many calls it has compared.
 */
export function compareWithTrace(announced: readonly Explained[], traced: readonly TracedCall[]): number {
  const calls = traced.filter((call) => !isServing(call));
  const values = new Map<string, number>();
  let at = 0;
  for (const operation of announced) {
    // A register is 0 until an operation that is not skipped writes it.
    if (operation.result !== undefined && !values.has(operation.result)) values.set(operation.result, 0);
    if (operation.if !== undefined && !holds(operation.if.is, values.get(operation.if.result))) continue;
    if (OWN_OPERATIONS.has(operation.call)) {
      if (operation.result !== undefined)
        values.set(operation.result, values.get(operation.args[0] ?? "") ?? 0);
      continue;
    }
    // openat2(2) is repeated after EAGAIN, when a rename or mount elsewhere has interfered.
    while (calls[at]?.call === "openat2" && calls[at]?.errno === "EAGAIN") at += 1;
    const real = calls[at];
    at += 1;
    const problem = real === undefined ? "nothing more is done" : difference(operation, real, values);
    if (problem !== undefined) {
      const announcedText = `${operation.call}(${operation.args.join(", ")})`;
      throw new Error(
        `call ${at}, ${operation.by}: ${operation.purpose}\n  announced ${announcedText}\n  done      ${text(real)}\n  ${problem}`,
      );
    }
    if (operation.result !== undefined && real !== undefined) values.set(operation.result, real.result);
  }
  const rest = calls.slice(at);
  if (rest.length > 0) throw new Error(`done without being announced: ${rest.map(text).join("\n")}`);
  return at;
}

function text(call: TracedCall | undefined): string {
  return call === undefined ? "-" : `${call.call}(${call.args.join(", ")}) = ${call.result} ${call.errno}`;
}

function holds(is: string, value: number | undefined): boolean {
  if (value === undefined) throw new Error(`a condition on a result that is not known`);
  if (is === "ok") return value >= 0;
  if (is === "failed") return value < 0;
  return is === "zero" ? value === 0 : value > 0;
}

function difference(
  operation: Explained,
  real: TracedCall,
  values: ReadonlyMap<string, number> = new Map(),
): string | undefined {
  if (operation.call !== real.call) return "another call";
  if (operation.args.length !== real.args.length) return "another number of arguments";
  for (const [index, announced] of operation.args.entries()) {
    const done = real.args[index] ?? "";
    if (!matches(announced, done, values)) return `argument ${index + 1} differs`;
  }
  const tolerated = (operation.tolerates ?? []).some((errno) => errno === "any" || errno === real.errno);
  return real.errno !== "" && !tolerated ? `${real.errno} is not tolerated` : undefined;
}

/** `<name>` matches the number that the trace has for the name, or any number as long as it has none. */
function matches(announced: string, done: string, values: ReadonlyMap<string, number>): boolean {
  if (announced === "<output>") return true;
  if (announced.includes("SCM_RIGHTS")) return done.includes("SCM_RIGHTS");
  if (done.endsWith(" ...]")) return beginsLike(announced, done);
  const pattern = normal(announced)
    .split(/(<[^<>|]+>(?: [+-] \d+)?)/)
    .map((part) => {
      if (!part.startsWith("<")) return part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      const value = values.get(part);
      return value === undefined || value < 0 ? "-?[0-9]+" : String(value);
    })
    .join("");
  return new RegExp(`^${pattern}$`).test(normal(done));
}

/** Compares a set of CPUs with the first thousand, which is all that strace shows. */
function beginsLike(announced: string, done: string): boolean {
  const [, first, last] = /^\[(\d+)-(\d+)\]$/.exec(announced) ?? [];
  const shown = done.slice(1, -" ...]".length).split(" ").map(Number);
  return ranges(shown) === `${first}-${shown.at(-1)}` && Number(last) >= (shown.at(-1) ?? Infinity);
}

/** Brings both notations into one form: flags sorted, lists of CPUs as ranges, filters by their length. */
function normal(argument: string): string {
  const shortened = argument
    .replace(/^\[(\d+(?: \d+)+)\]$/, (_, list: string) => `[${ranges(list.split(" ").map(Number))}]`)
    .replace(/^(\{len=\d+), filter=\[.*\]\}$/, "$1}");
  return shortened.replace(/[A-Za-z0-9_<]+(?:\|[A-Za-z0-9_<]+)+/g, (flags) =>
    flags.split("|").sort().join("|"),
  );
}

function ranges(numbers: readonly number[]): string {
  const found: string[] = [];
  for (let i = 0; i < numbers.length; i++) {
    const start = numbers[i] ?? 0;
    while (numbers[i + 1] === (numbers[i] ?? 0) + 1) i += 1;
    const end = numbers[i] ?? 0;
    found.push(start === end ? String(start) : `${start}-${end}`);
  }
  return found.join(" ");
}
