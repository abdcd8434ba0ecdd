import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** One system call that strace(1) has seen. */
export interface TracedCall {
  readonly call: string;
  /** In strace's own notation, without comments. */
  readonly args: readonly string[];
  /** As returned; -1 for an error, NaN for a call that has not returned. */
  readonly result: number;
  /** Empty if there is none. */
  readonly errno: string;
}

/** The traces of one command: by pid. */
export type Trace = ReadonlyMap<number, readonly TracedCall[]>;

/**
 * What to run a command below. The tracer is nobody's parent (-D): the command's end is not held up by the container that it
 * leaves behind, whose calls are traced on.
 */
export function straceWrapper(prefix: string): readonly string[] {
  return ["strace", "-D", "-ff", "-v", "-s", "8192", "-o", prefix];
}

/** Reads what was written below that prefix so far. */
export function readTrace(prefix: string): Trace {
  const trace = new Map<number, TracedCall[]>();
  for (const name of readdirSync(dirname(prefix))) {
    if (!name.startsWith(`${basename(prefix)}.`)) continue;
    const lines = readFileSync(join(dirname(prefix), name), "utf8").split("\n");
    trace.set(Number(name.slice(name.lastIndexOf(".") + 1)), lines.flatMap(parseLine));
  }
  return trace;
}

/** Whether all processes have ended that were traced. */
export function isFinished(prefix: string): boolean {
  const files = readdirSync(dirname(prefix)).filter((name) => name.startsWith(`${basename(prefix)}.`));
  return files.every((name) =>
    /^\+\+\+ (exited|killed)/m.test(readFileSync(join(dirname(prefix), name), "utf8")),
  );
}

function parseLine(line: string): TracedCall[] {
  const open = line.indexOf("(");
  const call = line.slice(0, open);
  if (!/^[a-z0-9_]+$/.test(call)) return [];
  const { args, end } = splitArguments(line, open + 1);
  // The kernel makes the same call anew, as a sysctl of the network does while somebody else has the lock: it counts once.
  if (/^\)\s*= \? ERESTARTNOINTR/.test(line.slice(end))) return [];
  const [, number = "NaN", errno = ""] =
    /^\)\s*= (-?\d+|0x[0-9a-f]+)(?: (E[A-Z0-9]+))?/.exec(line.slice(end)) ?? [];
  return [{ call, args: args.map(withoutComments), result: Number(number), errno }];
}

/** Splits at the commas that are in no string, list, struct or call. */
function splitArguments(text: string, start: number): { readonly args: string[]; readonly end: number } {
  const args: string[] = [];
  let depth = 0;
  let from = start;
  let at = start;
  for (; at < text.length; at++) {
    const character = text[at] ?? "";
    if (character === '"') at = endOfString(text, at);
    else if ("([{".includes(character)) depth += 1;
    else if (")]}".includes(character) && depth === 0) break;
    else if (")]}".includes(character)) depth -= 1;
    else if (character === "," && depth === 0) {
      args.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  const last = text.slice(from, at).trim();
  if (last !== "" || args.length > 0) args.push(last);
  return { args, end: at };
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

function withoutComments(text: string): string {
  return text.replace(/\s*\/\*.*?\*\//g, "");
}
