/** The second half of `npm run bench`, on a machine that is set up: measures, prints, and writes the report. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { summarize, writeSpeed } from "../draw-speed.mjs";
import { Missing, runScript } from "../machine.mjs";
import { judge } from "./aims.mjs";
import { measureMany } from "./many.mjs";
import { measureOperations } from "./operations.mjs";
import { readOptions } from "./options.mjs";
import { measurePodman } from "./podman.mjs";
import { measureProbes } from "./probes.mjs";
import { machine, printAims, printReport, writeReport } from "./report.mjs";
import { warmUps } from "./rounds.mjs";
import { allSubjects, isWarm, pathsForEngines, versionOf } from "./subjects.mjs";

function measureWhat(subjects, directory, { many, podman, probes, rounds }) {
  if (many > 0) {
    const few = subjects.filter(({ name }) => ["warm", "crun", "runc"].includes(name));
    return measureMany({ subjects: few, directory, count: many });
  }
  if (!podman && !probes) return measureOperations({ subjects, directory, rounds });
  const measure = podman ? measurePodman : measureProbes;
  return measure({ paths: pathsForEngines(directory), directory, rounds });
}

/** Warnings for readers of the figures. */
function remarksOn({ load, processors }, warm) {
  const cold = `no warm image (ask "runts warm --check"): the column "warm" shows cold starts, too\n`;
  const busy = "the machine is busy with other things: the figures are rough\n";
  return `${warm ? "" : cold}${load > processors ? busy : ""}`;
}

function measureAll() {
  const options = readOptions();
  const directory = mkdtempSync(join(tmpdir(), "runts-bench-"));
  const subjects = allSubjects(directory);
  const versions = Object.fromEntries(subjects.map(({ name, path }) => [name, versionOf(path)]));
  const warm = isWarm();
  const host = machine();
  const remarks = remarksOn(host, warm);
  process.stdout.write(
    `kernel ${host.kernel}, ${host.processors} processors, load ${host.load.toFixed(1)}; ` +
      `${options.rounds} rounds, after ${warmUps} to warm up\n${remarks}`,
  );
  try {
    if (options.svg && !warm)
      throw new Missing('--svg needs a warm image: "runts warm --check" says why there is none');
    const samples = measureWhat(subjects, directory, options);
    const judged = judge(samples);
    printReport(samples, { ...versions, cold: "cold", warm: "warm", empty: "empty" });
    printAims(judged);
    process.stdout.write(remarks);
    const { rounds, output, svg } = options;
    writeReport(output, { rounds, machine: host, versions, warm, aims: judged, samples });
    if (svg) writeSpeed(summarize({ samples, versions, rounds, machine: host }));
  } finally {
    for (const subject of subjects) subject.clear();
    rmSync(directory, { recursive: true, force: true });
  }
  return 0;
}

runScript("bench", measureAll);
