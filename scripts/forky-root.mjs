/**
 * A root file system of Debian's next release, forky, in node_modules/.cache/forky-root. mmdebstrap makes it; nothing of it is installed on
 * the machine. spec-tests/harness/in-root.sh runs commands in it.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromForky } from "./forky.mjs";
import { ensurePackages, Missing, root, runIn } from "./machine.mjs";

const cache = join(root, "node_modules/.cache");
const made = join(cache, "forky-root");

/** The file in the root that says what is installed and since when: { packages, date }. */
const record = "etc/runts-forky-root.json";

/** What the tests themselves run there. Node is forky's too: that of the machine may need libraries which forky does not have. */
const basics = ["mount", "nodejs"];

const maker = {
  name: "mmdebstrap",
  program: "mmdebstrap",
  needed: true,
  why: "makes the root file system of forky",
};

/** A root that is older than this is made anew, since forky changes each day. */
const days = 7;

/** The path of a root that has these Debian packages of forky. It is made if there is none, or another, or an old one. */
export function ensureForkyRoot(packages) {
  const wanted = [...new Set([...basics, ...packages])].sort();
  if (isReady(wanted)) return made;
  const present = readRecord();
  ensurePackages([maker]);
  try {
    makeRoot(wanted);
  } catch (error) {
    if (!(error instanceof Missing) || !fits(present, wanted)) throw error;
    process.stdout.write(`${error.message}\nthe root of ${present.date} is used\n`);
  }
  return made;
}

function readRecord() {
  const file = join(made, record);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

function isReady(wanted) {
  const present = readRecord();
  return fits(present, wanted) && !isOld(present);
}

/** Whether a root with this record has exactly these packages, and what they need. */
export function fits(present, wanted) {
  return present !== undefined && present.packages.join(" ") === wanted.join(" ");
}

export function isOld(present, now = Date.now()) {
  return now - Date.parse(present.date) > days * 24 * 3600_000;
}

function makeRoot(packages) {
  process.stdout.write("making a root file system of Debian's release forky; this takes some two minutes\n");
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(`${made}-`);
  try {
    // The machine's settings for mirrors, such as a proxy.
    const settings = join(directory, "apt.conf");
    writeFileSync(settings, mirrorSettings(runIn(root, "apt-config", "dump")));
    const system = join(directory, "root");
    const words = [
      ...["--quiet", "--mode=root", "--variant=apt", "--format=directory", `--include=${packages.join(",")}`],
      ...[`--aptopt=${settings}`, '--aptopt=APT::Install-Recommends "false"'],
    ];
    fromForky((source) => {
      rmSync(system, { recursive: true, force: true });
      const done = spawnSync("mmdebstrap", [...words, "forky", system, source], { encoding: "utf8" });
      return done.status === 0 ? undefined : done.stderr;
    });
    writeFileSync(join(system, record), JSON.stringify({ packages, date: new Date().toISOString() }));
    // Another process has made one meanwhile, and may be using it.
    if (isReady(packages)) return;
    if (existsSync(made)) renameSync(made, join(directory, "old"));
    renameSync(system, made);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** How the machine's apt reaches mirrors and judges their dates, of the output of `apt-config dump`. */
export function mirrorSettings(dump) {
  const lines = dump.split("\n").filter((line) => /^Acquire::(https?|Check-|Retries\b)/i.test(line));
  return lines.map((line) => `${line}\n`).join("");
}
