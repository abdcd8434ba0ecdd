import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** A system call as strace(1) has shown it. */
export interface TracedCall {
  readonly call: string;
  /** In strace's own notation, without comments. */
  readonly args: readonly string[];
  /** -1 for an error, NaN for a call that has not returned. */
  readonly result: number;
  /** Name of the error; empty for none. */
  readonly errno: string;
}

/** The calls of a command's processes, by pid. */
export type Trace = ReadonlyMap<number, readonly TracedCall[]>;

/**
 * The arguments in front of a traced command. The tracer is not a parent of it (-D), so that the command ends without waiting for the
 * container that it leaves behind, which is traced on.
 */
export function straceWrapper(prefix: string): readonly string[] {
  return ["strace", "-D", "-ff", "-v", "-s", "8192", "-o", prefix];
}

/** Reads the trace files with a prefix, as far as they are written. */
export function readTrace(prefix: string): Trace {
  const trace = new Map<number, TracedCall[]>();
  for (const name of readdirSync(dirname(prefix))) {
    if (!name.startsWith(`${basename(prefix)}.`)) continue;
    const lines = readFileSync(join(dirname(prefix), name), "utf8").split("\n");
    trace.set(Number(name.slice(name.lastIndexOf(".") + 1)), lines.flatMap(parseLine));
  }
  return trace;
}

/** Whether all traced processes have ended. */
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
  // The kernel repeats the call, as for a sysctl of the network while another process has the lock: it counts once.
  if (/^\)\s*= \? ERESTARTNOINTR/.test(line.slice(end))) return [];
  const [, number = "NaN", errno = ""] =
    /^\)\s*= (-?\d+|0x[0-9a-f]+)(?: (E[A-Z0-9]+))?/.exec(line.slice(end)) ?? [];
  return [{ call, args: args.map(withoutComments), result: Number(number), errno }];
}

/** Splits at the commas outside of strings, lists, structs and calls. */
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
