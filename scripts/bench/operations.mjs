/** The commands that engines call, each subject's in turn. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Missing } from "../machine.mjs";
import { makeBundle, makeEmptyProgram } from "./bundles.mjs";
import { time } from "./processes.mjs";
import { alternate } from "./rounds.mjs";
import { measureThroughput, measureTogether } from "./throughput.mjs";

/** Returns the samples of each figure by subject, in the order of the rounds. */
export function measureOperations({ subjects, directory, rounds }) {
  const bundle = makeBundle(join(directory, "bundle"), ["/bin/true"]);
  const sleeping = makeBundle(join(directory, "sleeping"), ["/bin/sleep", "3600"]);
  const inTurns = (turn) => alternate(each(subjects, turn), rounds);
  const stages = {
    "--version": () => measureVersion(subjects, directory, rounds),
    "a created container": () => measureCreated(subjects, bundle, rounds),
    run: () => inTurns((subject) => measureRun(subject, bundle)),
    "create, start and delete": () => inTurns((subject) => measureLife(subject, bundle)),
    "a running container": () => measureRunning(subjects, sleeping, rounds),
    "run, several at once": () => ({
      ...measureTogether({ subjects, bundle, rounds }),
      ...measureThroughput({ subjects, bundle, rounds }),
    }),
  };
  const samples = {};
  for (const [what, measure] of Object.entries(stages)) {
    process.stdout.write(`measuring ${what}\n`);
    Object.assign(samples, measure());
  }
  return samples;
}

function each(subjects, turn) {
  return Object.fromEntries(subjects.map((subject) => [subject.name, () => turn(subject)]));
}

/** Measures `--version` beside the empty program. */
function measureVersion(subjects, directory, rounds) {
  const empty = { argv: [makeEmptyProgram(directory)] };
  const turns = each(subjects, (subject) => ({ "--version": subject.version() }));
  return alternate({ ...turns, empty: () => ({ "--version": time(empty).ms }) }, rounds);
}

/** Measures `state` of containers that wait for `start`, and the memory that they take meanwhile. */
function measureCreated(subjects, bundle, rounds) {
  const ids = new Map(subjects.map((subject) => [subject, subject.create(bundle).id]));
  const samples = alternate(
    each(subjects, (subject) => ({ state: subject.act("state", ids.get(subject)) })),
    rounds,
  );
  const pss = Object.fromEntries(subjects.map((subject) => [subject.name, [readPss(subject.pidFile)]]));
  for (const [subject, id] of ids) subject.act("delete", "--force", id);
  return { ...samples, "init PSS": pss };
}

function measureRun(subject, bundle) {
  const { ms, cpuMs } = subject.run(bundle);
  return { run: ms, "run, CPU": cpuMs };
}

/** The container ends by itself between `start` and `delete`, in time that is not measured. */
function measureLife(subject, bundle) {
  const { id, ...create } = subject.create(bundle);
  const start = subject.actWithCpu("start", id);
  waitForEnd(subject.pidFile);
  const deletion = subject.actWithCpu("delete", id);
  const sum = (kind) => create[kind] + start[kind] + deletion[kind];
  return {
    create: create.ms,
    start: start.ms,
    delete: deletion.ms,
    "create+start+delete": sum("ms"),
    "create+start+delete, CPU": sum("cpuMs"),
  };
}

/** Measures commands on running containers. Their first process has no handler for SIGTERM, so the kernel ignores that signal. */
function measureRunning(subjects, bundle, rounds) {
  const ids = new Map(subjects.map((subject) => [subject, subject.create(bundle).id]));
  for (const [subject, id] of ids) subject.act("start", id);
  const samples = alternate(
    each(subjects, (subject) => {
      const id = ids.get(subject);
      const exec = subject.actWithCpu("exec", id, "/bin/true");
      return {
        exec: exec.ms,
        "exec, CPU": exec.cpuMs,
        "exec, output to end": subject.execTail(id),
        pause: subject.act("pause", id),
        resume: subject.act("resume", id),
        kill: subject.act("kill", id, "TERM"),
      };
    }),
    rounds,
  );
  for (const [subject, id] of ids) subject.act("delete", "--force", id);
  return samples;
}

/** Waits until a container's process has ended, looking at the kernel's view of it: no runtime's time is spent on it. */
function waitForEnd(pidFile) {
  const pid = readFileSync(pidFile, "utf8");
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline) {
    let stat;
    try {
      stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    } catch {
      return;
    }
    if (/\) [ZX]/.test(stat)) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
  throw new Missing("a container's process did not end within 10 s");
}

/** Pss of smaps_rollup (proc_pid_smaps(5)), in KiB: each page divided by the number of processes that map it. */
function readPss(pidFile) {
  const pid = readFileSync(pidFile, "utf8");
  const match = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
  return Number(match?.[1]);
}
