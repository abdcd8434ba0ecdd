import type { CgroupWrite } from "../cgroup/limits/cgroup-write.ts";
import type { Finding } from "./finding.ts";

/** The cgroup of a container. */
export interface CgroupFacts {
  /** Path of init's cgroup, from /proc/PID/cgroup. */
  readonly current: string;
  /** Path of the cgroup that the container was given. */
  readonly wanted: string;
  read(file: string): string | undefined;
  /** Number of device programs on the cgroup; undefined if this caller may not ask. */
  readonly devicePrograms: number | undefined;
}

/** Compares a cgroup with the writes of create and update, which are given in order: of two to one file the last counts. */
export function examineCgroup(writes: readonly CgroupWrite[], facts: CgroupFacts): Finding[] {
  const { current, wanted } = facts;
  const inside = current === wanted || current.startsWith(`${wanted}/`);
  const place: Finding = {
    area: "cgroup",
    subject: "place",
    verdict: inside ? "good" : "bad",
    detail: inside ? current : `init is in ${current}, not in ${wanted}`,
    pointer: "/linux/cgroupsPath",
  };
  const last = new Map(writes.map((write) => [keyOf(write), write]));
  return [place, ...[...last.values()].map((write) => examineWrite(write, facts)), rules(facts)];
}

/** Identifies a setting: by the file, and for files with a line for each device also by the device's numbers or name. */
function keyOf({ file, value }: CgroupWrite): string {
  return /^(io|rdma)\./.test(file) ? `${file} ${value.split(" ")[0]}` : file;
}

function examineWrite(write: CgroupWrite, facts: CgroupFacts): Finding {
  const text = facts.read(write.file);
  const { fallback, ...rest } = write;
  if (text === undefined && fallback !== undefined) return examineWrite({ ...rest, ...fallback }, facts);
  const base = { area: "cgroup", subject: write.file, pointer: write.pointer };
  if (text === undefined) {
    const harmless = write.unlimited === true || write.optional === true;
    return { ...base, verdict: harmless ? "good" : "bad", detail: "there is no such file" };
  }
  const found = text.trim();
  if (holds(write.value, found)) return { ...base, verdict: "good", detail: found.replace(/\n/g, "; ") };
  return { ...base, verdict: "bad", detail: `is ${found.replace(/\n/g, "; ")}, not ${write.value}` };
}

/** Whether a file has the value that was written. The kernel adds fields that were not written, and rounds bytes down to pages. */
export function holds(wanted: string, found: string): boolean {
  if (wanted === found) return true;
  const lines = found.split("\n");
  if (lines.length > 1 || wanted.includes("=")) {
    const words = wanted.split(" ");
    return lines.some((line) => words.every((word) => line.split(" ").includes(word)));
  }
  const [want = [], got = []] = [wanted, found].map((text) => text.split(" "));
  return want.every((word, index) => word === got[index] || isRounded(word, got[index] ?? ""));
}

function isRounded(wanted: string, found: string): boolean {
  // The largest base page, in bytes. Huge page limits are multiples of larger pages, and not rounded.
  const PAGE = 65536n;
  if (!/^\d+$/.test(wanted) || !/^\d+$/.test(found)) return false;
  const difference = BigInt(wanted) - BigInt(found);
  return difference >= 0n && difference < PAGE && BigInt(wanted) >= PAGE;
}

function rules({ devicePrograms }: CgroupFacts): Finding {
  const base = { area: "cgroup", subject: "device program", pointer: "/linux/resources/devices" };
  if (devicePrograms === undefined)
    return { ...base, verdict: "note", detail: "this caller may not ask for it" };
  return devicePrograms > 0
    ? { ...base, verdict: "good", detail: `${devicePrograms} attached` }
    : { ...base, verdict: "bad", detail: "none: every device can be used" };
}
