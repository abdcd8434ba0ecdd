/**
 * Several `run`s at once: how many a second the machine does with each runtime, and how long eight take that start together, as the stages
 * of a build do. The processors are busy meanwhile, so CPU time counts, not latency.
 */
import { Missing } from "../machine.mjs";
import { start, wait } from "./processes.mjs";
import { alternate } from "./rounds.mjs";

const workers = 4;

/** Runs of each worker in a turn: so many that the time at the end, when not all workers are busy, is short. */
const runsEach = 25;

const together = 8;

/** A shell forks faster than Node. Its arguments: how many, the id's beginning, the command. */
const loop = `count=$1 id=$2; shift 2
while [ "$count" -gt 0 ]; do "$@" "$id-$count" || exit; count=$((count - 1)); done`;

/** Returns the samples by subject, of which there are fewer than rounds, since each is of many runs. */
export function measureThroughput({ subjects, bundle, rounds }) {
  const turns = subjects.map((subject) => [
    subject.name,
    () => ({ "run, 4 workers": runsPerSecond(subject, bundle) }),
  ]);
  return alternate(Object.fromEntries(turns), Math.max(1, Math.round(rounds / 12)), 1);
}

function runsPerSecond(subject, bundle) {
  const { argv, env } = subject.command("run", "--bundle", bundle);
  const begun = process.hrtime.bigint();
  const pids = Array.from({ length: workers }, () =>
    start(
      { argv: ["/bin/sh", "-c", loop, "sh", String(runsEach), subject.newId(), ...argv], env },
      { errors: 2 },
    ),
  );
  const codes = pids.map((pid) => wait(pid).code);
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  if (codes.some((code) => code !== 0))
    throw new Missing(`${workers} at once, ${argv.join(" ")} failed (see above)`);
  return (workers * runsEach) / seconds;
}

/** Starts eight `run`s at once. Returns the samples of the time until the last has ended, and of the CPU time of all. */
export function measureTogether({ subjects, bundle, rounds }) {
  const turns = subjects.map((subject) => [
    subject.name,
    () => {
      const { ms, cpuMs } = runTogether(subject, bundle);
      return { [`run, ${together} at once`]: ms, [`run, ${together} at once, CPU`]: cpuMs };
    },
  ]);
  return alternate(Object.fromEntries(turns), Math.max(1, Math.round(rounds / 2)), 1);
}

function runTogether(subject, bundle) {
  const begun = process.hrtime.bigint();
  const pids = Array.from({ length: together }, () =>
    start(subject.command("run", "--bundle", bundle, subject.newId()), { errors: 2 }),
  );
  const ended = pids.map((pid) => wait(pid));
  const ms = Number(process.hrtime.bigint() - begun) / 1e6;
  if (ended.some(({ code }) => code !== 0))
    throw new Missing(`${together} at once, ${subject.name}: a run failed (see above)`);
  return { ms, cpuMs: ended.reduce((sum, { cpuMs }) => sum + cpuMs, 0) };
}
