/**
 * `npm run bench -- --many N`: creates N containers that are all alive at once and deletes them, under each runtime in turn. What a
 * container costs must not depend on how many there are.
 */
import { readdirSync, readFileSync } from "node:fs";

/** How many of each end are compared: one alone says little. */
const sampleCount = 20;

/** What a waiting container takes at most, its share of the kernel's structures included, in KiB: runc's init is large. */
const memoryEach = { runts: 3 * 1024, crun: 3 * 1024, runc: 14 * 1024 };

/** The most containers that this machine has memory for, at half of what is available. */
function roomFor(name, count) {
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
  return Math.min(count, Math.floor(available / 2 / memoryEach[name]));
}

/**
 * Medians of the first and the last creates and deletes, in ms, and the ratio of the last to the first. Creating them all takes minutes,
 * in which the load of the machine changes: so each sample is also taken as a multiple of the runtime's `--version` beside it.
 */
export function compareEnds({ subjects, bundle, count: wanted, median }) {
  const results = {};
  for (const subject of subjects) {
    const count = roomFor(subject.name, wanted);
    if (count < wanted)
      process.stdout.write(`there is memory for ${count} containers of ${subject.name} only\n`);
    subject.delete(subject.create(bundle).id);
    const size = Math.min(sampleCount, Math.ceil(count / 4));
    const isEnd = (index) => index < size || index >= count - size;
    const created = Array.from({ length: count }, (_, index) => {
      const before = isEnd(index) ? subject.version() : undefined;
      const { id, ms } = subject.create(bundle);
      return { id, ms, ...(before && { relative: (2 * ms) / (before + subject.version()) }) };
    });
    const alive = subject.list().length;
    const deletes = created.map(({ id }) => subject.delete(id));
    const left = subject.list().length + cgroupsOf(created).length;
    const create = ends(
      created.map(({ ms }) => ms),
      size,
      median,
    );
    const { ratio: corrected } = ends(
      created.map(({ relative }) => relative),
      size,
      median,
    );
    results[subject.name] = { alive, left, create, corrected, delete: ends(deletes, size, median) };
    print(subject.name, results[subject.name]);
  }
  return results;
}

function ends(samples, size, median) {
  const first = median(samples.slice(0, size));
  const last = median(samples.slice(-size));
  return { first, last, ratio: last / first };
}

/** A cgroup has its container's id as its name. */
function cgroupsOf(created) {
  const ids = new Set(created.map(({ id }) => id));
  return readdirSync("/sys/fs/cgroup").filter((name) => ids.has(name));
}

function print(name, { alive, left, create, corrected, delete: deletion }) {
  const text = ({ first, last, ratio }) =>
    `${first.toFixed(2)} ms, at the end ${last.toFixed(2)} ms (${ratio.toFixed(2)} of it)`;
  process.stdout.write(
    `${name.padEnd(8)} ${alive} alive: create ${text(create)}, beside --version ${corrected.toFixed(2)} of it; ` +
      `delete ${text(deletion)}; ${left} left\n`,
  );
}
