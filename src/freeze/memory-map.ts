import { O_RDONLY } from "../../bindings/abi/fcntl.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../../bindings/abi/mman.ts";
import { closeSync, openSync, readFileSync, readSync } from "../../bindings/linux/files.ts";
import { RuntsError } from "../errors.ts";

/** In bytes, on x86-64, the only architecture with warm starts. */
export const PAGE = 4096;

/** One line of /proc/PID/maps: proc_pid_maps(5). */
export interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly protection: number;
  readonly shared: boolean;
  readonly offset: number;
  /** A path, a name such as `[stack]`, or empty. */
  readonly name: string;
}

export function readMappings(pid: number): Mapping[] {
  const lines = readFileSync(`/proc/${pid}/maps`, "utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const match = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+ *(.*)$/.exec(line);
    if (match === null) throw new RuntsError(`warm: /proc/${pid}/maps has the line "${line}"`);
    const [, start = "", end = "", mode = "", offset = "", name = ""] = match;
    return {
      start: Number.parseInt(start, 16),
      end: Number.parseInt(end, 16),
      protection:
        (mode[0] === "r" ? PROT_READ : 0) |
        (mode[1] === "w" ? PROT_WRITE : 0) |
        (mode[2] === "x" ? PROT_EXEC : 0),
      shared: mode[3] === "s",
      offset: Number.parseInt(offset, 16),
      name,
    };
  });
}

const ENTRY_BYTES = 8;
const ENTRIES_AT_ONCE = 64 * 1024;
// The highest byte of an entry: proc_pid_pagemap(5).
const PRESENT = 0x80;
const SWAPPED = 0x40;
const OF_FILE = 0x20;

/** Addresses of the pages of a mapping that the process has written, so that they differ from the mapped file. */
export function* privatePages(pid: number, mapping: Mapping): Generator<number> {
  for (const { address, flags } of pageFlags(pid, mapping))
    if ((flags & (PRESENT | SWAPPED)) !== 0 && (flags & OF_FILE) === 0) yield address;
}

/** Addresses of the pages of a mapped file in the process's page table: those that it has accessed, and their neighbours. */
export function* residentPages(pid: number, mapping: Mapping): Generator<number> {
  for (const { address, flags } of pageFlags(pid, mapping))
    if ((flags & PRESENT) !== 0 && (flags & OF_FILE) !== 0) yield address;
}

function* pageFlags(
  pid: number,
  { start, end }: Mapping,
): Generator<{ readonly address: number; readonly flags: number }> {
  const fd = openSync(`/proc/${pid}/pagemap`, O_RDONLY);
  const entries = Buffer.allocUnsafe(ENTRIES_AT_ONCE * ENTRY_BYTES);
  try {
    for (let page = start / PAGE; page < end / PAGE; page += ENTRIES_AT_ONCE) {
      const count = Math.min(ENTRIES_AT_ONCE, end / PAGE - page);
      const length = readSync(fd, entries, 0, count * ENTRY_BYTES, page * ENTRY_BYTES);
      if (length !== count * ENTRY_BYTES) throw new RuntsError(`warm: /proc/${pid}/pagemap ends early`);
      for (let i = 0; i < count; i++) {
        const flags = entries[i * ENTRY_BYTES + 7] ?? 0;
        if (flags !== 0) yield { address: (page + i) * PAGE, flags };
      }
    }
  } finally {
    closeSync(fd);
  }
}
