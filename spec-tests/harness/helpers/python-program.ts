import { type ChildProcessByStdio, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { Sandbox } from "../sandbox.ts";

/** A Python program of this folder, for what Node can't do: it can neither receive descriptors nor be a subreaper. */
export interface PythonProgram {
  readonly stdin: Writable;
  readonly lines: Interface;
  /** The next line that it prints. */
  next(): Promise<string>;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  /** Kills it; this is also done at the end of the test. */
  stop(): Promise<void>;
}

export function startPython(sandbox: Sandbox, file: string, ...args: readonly string[]): PythonProgram {
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    "python3",
    [join(import.meta.dirname, file), ...args],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  sandbox.atEnd(stop);
  const lines = createInterface({ input: child.stdout });
  const iterator = lines[Symbol.asyncIterator]();
  return {
    stdin: child.stdin,
    lines,
    next: async () => String((await iterator.next()).value),
    ended,
    stop,
  };
}
