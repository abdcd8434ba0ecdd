/**
 * `npm run bench -- --many N`: creates N containers that are all alive at once and deletes them, under each runtime in turn. The
 * cost of a container must not depend on how many there are.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { makeBundle } from "./bundles.mjs";
import { median } from "./rounds.mjs";

/** How many of the first and the last are compared: one alone says little. */
const sampleCount = 20;

/** Upper bound of a waiting container's memory in KiB, with its share of the kernel's structures: runc's init is large. */
const memoryEach = { warm: 3 * 1024, crun: 3 * 1024, runc: 14 * 1024 };

/** The most containers that this machine has memory for, at half of what is available. */
function roomFor(name, count) {
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
  return Math.min(count, Math.floor(available / 2 / memoryEach[name]));
}

/**
 * Returns samples by subject: the first and the last creates and deletes, in ms, and the ratio of the last creates to the first. Creating
 * them all takes minutes, in which the load of the machine changes: so for that ratio each sample is a multiple of the runtime's
 * `--version` beside it.
 */
export function measureMany({ subjects, directory, count }) {
  const bundle = makeBundle(join(directory, "bundle"), ["/bin/true"]);
  const samples = {};
  for (const subject of subjects) {
    process.stdout.write(`measuring ${subject.name}\n`);
    for (const [figure, values] of Object.entries(compareEnds(subject, bundle, count)))
      samples[figure] = { ...samples[figure], [subject.name]: values };
  }
  return samples;
}

function compareEnds(subject, bundle, wanted) {
  const count = roomFor(subject.name, wanted);
  if (count < wanted)
    process.stdout.write(`there is memory for ${count} containers of ${subject.name} only\n`);
  subject.act("delete", "--force", subject.create(bundle).id);
  const size = Math.min(sampleCount, Math.ceil(count / 4));
  const created = Array.from({ length: count }, (_, index) => {
    const isEnd = index < size || index >= count - size;
    return isEnd ? createBesideVersion(subject, bundle) : subject.create(bundle);
  });
  const alive = subject.list().length;
  const deletes = created.map(({ id }) => subject.act("delete", "--force", id));
  const first = created.slice(0, size);
  const last = created.slice(-size);
  const relative = (ends) => median(ends.map((end) => end.relative));
  return {
    "create, first": first.map(({ ms }) => ms),
    "create, last": last.map(({ ms }) => ms),
    "create, the last of many": [relative(last) / relative(first)],
    "delete, first": deletes.slice(0, size),
    "delete, last": deletes.slice(-size),
    "alive at once": [alive],
    "left after delete": [subject.list().length + cgroupsOf(created).length],
  };
}

function createBesideVersion(subject, bundle) {
  const before = subject.version();
  const { id, ms } = subject.create(bundle);
  return { id, ms, relative: (2 * ms) / (before + subject.version()) };
}

/** A cgroup has its container's id as its name. */
function cgroupsOf(created) {
  const ids = new Set(created.map(({ id }) => id));
  return readdirSync("/sys/fs/cgroup").filter((name) => ids.has(name));
}
