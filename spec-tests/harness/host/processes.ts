import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** What /proc says about other processes. They end while we look: what is gone reads as empty. */

export function allProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The command line. */
export function wordsOf(pid: number): string[] {
  return textOf(`/proc/${pid}/cmdline`).split("\0").slice(0, -1);
}

/** Those that any of its threads has started or adopted, zombies too. */
export function childrenOf(pid: number): number[] {
  return entriesOf(`/proc/${pid}/task`).flatMap((thread) =>
    textOf(`/proc/${pid}/task/${thread}/children`).split(" ").filter(Boolean).map(Number),
  );
}

/** What its open descriptors lead to. Sockets, pipes and others without a name are named by their kind, since their numbers differ each time. */
export function openFilesOf(pid: number): string[] {
  return entriesOf(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`).replace(/:\[\d+\]$/, ""));
}

export function textOf(path: string): string {
  return unlessGone(() => readFileSync(path, "utf8"), "");
}

function linkOf(path: string): string {
  return unlessGone(() => readlinkSync(path), "");
}

function entriesOf(folder: string): string[] {
  return unlessGone(() => readdirSync(folder), []);
}

function unlessGone<Value>(read: () => Value, otherwise: Value): Value {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
