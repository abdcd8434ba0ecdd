/**
 * `npm run bench -- --many N`: creates N containers that are all alive at once and deletes them, under each runtime in turn. What a
 * container costs must not depend on how many there are.
 */
import { readdirSync, readFileSync } from "node:fs";

/** How many of each end are compared: one alone says little. */
const sampleCount = 20;

/** What a waiting container takes at most (runc's init and its share of the kernel's structures), in KiB. */
const memoryEach = 14 * 1024;

/** The most containers of any runtime that this machine has memory for, at half of what is available. */
export function roomFor(count) {
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
  return Math.min(count, Math.floor(available / 2 / memoryEach));
}

/** Medians of the first and the last creates and deletes, in ms, and the ratio of the last to the first. */
export function compareEnds({ subjects, bundle, count, median }) {
  const results = {};
  for (const subject of subjects) {
    subject.delete(subject.create(bundle).id);
    const created = Array.from({ length: count }, () => subject.create(bundle));
    const alive = subject.list().length;
    const deletes = created.map(({ id }) => subject.delete(id));
    const left = subject.list().length + cgroupsOf(created).length;
    const creates = ends(
      created.map(({ ms }) => ms),
      median,
    );
    results[subject.name] = { alive, left, create: creates, delete: ends(deletes, median) };
    print(subject.name, results[subject.name]);
  }
  return results;
}

function ends(samples, median) {
  const size = Math.min(sampleCount, Math.ceil(samples.length / 4));
  const first = median(samples.slice(0, size));
  const last = median(samples.slice(-size));
  return { first, last, ratio: last / first };
}

/** A cgroup has its container's id as its name. */
function cgroupsOf(created) {
  const ids = new Set(created.map(({ id }) => id));
  return readdirSync("/sys/fs/cgroup").filter((name) => ids.has(name));
}

function print(name, { alive, left, create, delete: deletion }) {
  const text = ({ first, last, ratio }) =>
    `${first.toFixed(2)} ms, at the end ${last.toFixed(2)} ms (${ratio.toFixed(2)} of it)`;
  process.stdout.write(
    `${name.padEnd(8)} ${alive} alive: create ${text(create)}; delete ${text(deletion)}; ${left} left\n`,
  );
}
