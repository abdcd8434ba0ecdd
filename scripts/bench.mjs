/**
 * `npm run bench [-- --rounds N] [--output FILE] [--many N] [--podman]`: runts against crun and runc, taking turns in one run, so
 * that what else the machine does falls on all of them. Prints medians and ratios, and writes them as JSON (dist/bench.json). No
 * figure makes it fail.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, loadavg, release, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { compareEnds } from "./bench-many.mjs";
import { podmanCommands, podmanPackage } from "./bench-podman.mjs";
import { compileFlags, findBun } from "./bun.mjs";
import {
  busybox,
  checkMachine,
  ensureBuild,
  ensureModules,
  ensurePackages,
  hasUnifiedCgroup,
  Missing,
  root,
  runScript,
  runtime,
  unifiedCgroup,
  which,
} from "./machine.mjs";

const why = "it is measured beside runts";
const packages = [
  busybox,
  { name: "runc", program: "runc", needed: true, why },
  { name: "crun", program: "crun", needed: true, why },
];

const warmUps = 3;

const lastOfMany = "create, the last of many";

/** What the project has set itself: a ratio of medians, or KiB. */
const targets = [
  { what: "run", of: "runts", to: "runc", atMost: 0.6 },
  { what: "run", of: "runts", to: "crun", atMost: 2.2 },
  { what: "exec", of: "runts", to: "runc", atMost: 0.6 },
  { what: "exec", of: "runts", to: "crun", atMost: 2.2 },
  { what: "--version", of: "runts", to: "empty", atMost: 1.5 },
  { what: "init PSS", of: "runts", atMost: 64 },
  { what: "podman run", of: "runts", to: "runc", atMost: 1 },
  { what: lastOfMany, of: "runts", atMost: 1.3, unit: "of the first, beside --version" },
];

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "30" },
      output: { type: "string", default: join(root, "dist/bench.json") },
      many: { type: "string", default: "0" },
      podman: { type: "boolean", default: false },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Missing("--rounds takes a whole number from 1 on");
  const many = Number(values.many);
  if (!Number.isInteger(many) || many < 0) throw new Missing("--many takes a whole number");
  return { rounds, many, podman: values.podman, output: resolve(values.output) };
}

/** Runs a command and returns its milliseconds; one that fails is run again to show why. */
function time(command) {
  const [file, ...args] = command;
  const begun = process.hrtime.bigint();
  const { status } = spawnSync(file, args, { stdio: "ignore" });
  const ms = Number(process.hrtime.bigint() - begun) / 1e6;
  if (status !== 0) {
    const { stdout, stderr } = spawnSync(file, args, { encoding: "utf8" });
    throw new Missing(`${command.join(" ")} failed (exit code ${status}):\n${stdout}${stderr}`);
  }
  return ms;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Takes turns: each round runs every subject once, and each round begins with another one. */
function alternate(what, subjects, rounds) {
  const samples = Object.fromEntries(Object.keys(subjects).map((name) => [name, []]));
  const names = Object.keys(subjects);
  for (let round = -warmUps; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + warmUps + turn) % names.length];
      const sample = subjects[name]();
      if (round >= 0) samples[name].push(sample);
    }
  }
  const medians = Object.fromEntries(names.map((name) => [name, median(samples[name])]));
  print(what, medians);
  return { medians, samples };
}

function print(what, medians, unit = "ms") {
  const cells = Object.entries(medians).map(([name, value]) => {
    const ratio =
      name === "runts" ? "" : ` (runts is ${Number((medians.runts / value).toPrecision(3))} of it)`;
    return `${name} ${value.toFixed(unit === "ms" ? 2 : 0)} ${unit}${ratio}`;
  });
  process.stdout.write(`${what.padEnd(22)} ${cells.join(", ")}\n`);
}

/** The default config of `runts spec`, but for the terminal, with a busybox as its root file system. */
function makeBundle(directory, args) {
  mkdirSync(join(directory, "rootfs/bin"), { recursive: true });
  for (const name of ["dev", "proc", "sys"]) mkdirSync(join(directory, "rootfs", name));
  copyFileSync(which("busybox"), join(directory, "rootfs/bin/busybox"));
  for (const name of ["sleep", "true"]) symlinkSync("busybox", join(directory, "rootfs/bin", name));
  time([runtime, "spec", "--bundle", directory]);
  const file = join(directory, "config.json");
  const config = JSON.parse(readFileSync(file, "utf8"));
  config.process.terminal = false;
  config.process.args = args;
  writeFileSync(file, JSON.stringify(config));
}

/** An executable made as dist/runts-engine is, of a program that does nothing: what the engine's start alone costs. */
function makeEmptyProgram(directory) {
  const source = join(directory, "empty.ts");
  const output = join(directory, "empty");
  writeFileSync(source, "export {};\n");
  const bun = findBun();
  if (!bun) throw new Missing("Bun is missing; run npm install");
  time([bun, "build", source, "--outfile", output, ...compileFlags]);
  return output;
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

/** Of the fields of smaps_rollup (proc_pid_smaps(5)): each page divided by the number of processes that map it. */
function readPss(pidFile) {
  const pid = readFileSync(pidFile, "utf8");
  const match = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
  return Number(match?.[1]);
}

/** One runtime with a state directory of its own, and ids that nobody else has. */
class Subject {
  #number = 0;
  constructor(name, path, directory) {
    this.name = name;
    this.command = [path, "--root", join(directory, `state-${name}`)];
    this.path = path;
    this.pidFile = join(directory, `${name}.pid`);
  }

  version() {
    return time([this.path, "--version"]);
  }

  run(bundle) {
    return time([...this.command, "run", "--bundle", bundle, this.#newId()]);
  }

  create(bundle) {
    const id = this.#newId();
    const ms = time([...this.command, "create", "--bundle", bundle, "--pid-file", this.pidFile, id]);
    return { id, ms };
  }

  start(id) {
    return time([...this.command, "start", id]);
  }

  exec(id) {
    return time([...this.command, "exec", id, "/bin/true"]);
  }

  state(id) {
    return time([...this.command, "state", id]);
  }

  delete(id) {
    return time([...this.command, "delete", "--force", id]);
  }

  /** Ids of the containers that there are. */
  list() {
    const { stdout } = spawnSync(this.command[0], [...this.command.slice(1), "list", "--quiet"], {
      encoding: "utf8",
    });
    return stdout.split("\n").filter(Boolean);
  }

  lifecycle(bundle) {
    const { id, ms } = this.create(bundle);
    const start = this.start(id);
    waitForEnd(this.pidFile);
    return ms + start + time([...this.command, "delete", id]);
  }

  #newId() {
    this.#number += 1;
    return `bench-${process.pid}-${this.name}-${this.#number}`;
  }
}

function each(subjects, sample) {
  return Object.fromEntries(subjects.map((subject) => [subject.name, () => sample(subject)]));
}

/** The runtimes by name. */
function runtimePaths() {
  return { runts: runtime, crun: which("crun"), runc: which("runc") };
}

function makeSubjects(directory) {
  return Object.entries(runtimePaths()).map(([name, path]) => new Subject(name, path, directory));
}

function measure(directory, rounds) {
  const bundle = join(directory, "bundle");
  makeBundle(bundle, ["/bin/true"]);
  const running = join(directory, "running");
  makeBundle(running, ["/bin/sleep", "3600"]);
  const empty = makeEmptyProgram(directory);
  process.stdout.write(`medians of ${rounds} rounds, after ${warmUps} to warm up\n\n`);
  const subjects = makeSubjects(directory);

  const version = { ...each(subjects, (subject) => subject.version()), empty: () => time([empty]) };
  const results = { "--version": alternate("--version", version, rounds) };

  const waiting = new Map(subjects.map((subject) => [subject, subject.create(bundle).id]));
  const pss = Object.fromEntries(subjects.map((subject) => [subject.name, readPss(subject.pidFile)]));
  results.state = alternate(
    "state",
    each(subjects, (subject) => subject.state(waiting.get(subject))),
    rounds,
  );
  for (const [subject, id] of waiting) subject.delete(id);

  results.run = alternate(
    "run",
    each(subjects, (subject) => subject.run(bundle)),
    rounds,
  );
  results["create+start+delete"] = alternate(
    "create+start+delete",
    each(subjects, (subject) => subject.lifecycle(bundle)),
    rounds,
  );
  results.exec = measureExec(subjects, running, rounds);
  print("init PSS", pss, "KiB");
  results["init PSS"] = { medians: pss };
  return results;
}

function measureExec(subjects, bundle, rounds) {
  const ids = new Map(subjects.map((subject) => [subject, subject.create(bundle).id]));
  for (const [subject, id] of ids) subject.start(id);
  const result = alternate(
    "exec",
    each(subjects, (subject) => subject.exec(ids.get(subject))),
    rounds,
  );
  for (const [subject, id] of ids) subject.delete(id);
  return result;
}

/** Containers that are all alive at once, under each runtime in turn. */
function measureMany(directory, wanted) {
  const bundle = join(directory, "bundle");
  makeBundle(bundle, ["/bin/true"]);
  const results = compareEnds({ subjects: makeSubjects(directory), bundle, count: wanted, median });
  const ratios = Object.entries(results).map(([name, { corrected }]) => [name, corrected]);
  return { [lastOfMany]: { medians: Object.fromEntries(ratios), results } };
}

/** What a user of an engine waits for. */
function measurePodman(directory, rounds) {
  const bundle = join(directory, "bundle");
  makeBundle(bundle, ["/bin/true"]);
  const commands = podmanCommands(directory, join(bundle, "rootfs"), runtimePaths());
  const subjects = Object.fromEntries(
    Object.entries(commands).map(([name, command]) => [name, () => time(command)]),
  );
  process.stdout.write(`medians of ${rounds} rounds, after ${warmUps} to warm up\n\n`);
  return { "podman run": alternate("podman run", subjects, rounds) };
}

function measureWhat(directory, { many, podman, rounds }) {
  if (many > 0) return measureMany(directory, many);
  return podman ? measurePodman(directory, rounds) : measure(directory, rounds);
}

function judge(results) {
  return targets
    .filter(({ what }) => results[what])
    .map(({ what, of, to, atMost, unit = "KiB" }) => {
      const { medians } = results[what];
      const value = to ? medians[of] / medians[to] : medians[of];
      return { what, of, ...(to && { to }), unit, atMost, value, met: value <= atMost };
    });
}

function printTargets(judged) {
  process.stdout.write("\n");
  for (const { what, of, to, unit, atMost, value, met } of judged) {
    const figures = `${value.toFixed(2)} ${to ? `of ${to}` : unit}, to reach: at most ${atMost}`;
    process.stdout.write(`${met ? "met   " : "missed"} ${of} ${what}: ${figures}\n`);
  }
}

function versionOf(program) {
  return spawnSync(program, ["--version"], { encoding: "utf8" }).stdout.split("\n")[0];
}

function report(results, judged, { rounds, output }) {
  const machine = {
    kernel: release(),
    processors: availableParallelism(),
    load: loadavg()[0],
    node: process.version,
  };
  const versions = { runts: versionOf(runtime), crun: versionOf("crun"), runc: versionOf("runc") };
  mkdirSync(dirname(output), { recursive: true });
  const text = JSON.stringify({ rounds, machine, versions, targets: judged, results }, null, 2);
  writeFileSync(output, `${text}\n`);
  process.stdout.write(`\nwritten to ${output}\n`);
}

/** On a hybrid host, this script runs itself once more, where /sys/fs/cgroup is a cgroup2. */
function rerunUnified() {
  const args = [process.execPath, import.meta.filename, ...process.argv.slice(2)];
  return spawnSync(unifiedCgroup, args, { stdio: "inherit" }).status ?? 1;
}

function bench() {
  checkMachine("npm run bench");
  const options = readOptions();
  ensurePackages(options.podman ? [...packages, podmanPackage] : packages);
  ensureModules();
  ensureBuild();
  if (!hasUnifiedCgroup()) return rerunUnified();
  const directory = mkdtempSync(join(tmpdir(), "runts-bench-"));
  try {
    const results = measureWhat(directory, options);
    const judged = judge(results);
    printTargets(judged);
    report(results, judged, options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return 0;
}

runScript("bench", bench);
