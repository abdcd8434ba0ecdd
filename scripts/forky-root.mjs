/**
 * A root file system of Debian's next release, forky, in node_modules/.cache/forky-root. mmdebstrap makes it; nothing of it is installed on
 * the machine. spec-tests/harness/in-root.sh runs commands in it.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootstrap, fits, isOld, mmdebstrap } from "./debian-releases.mjs";
import { ensurePackages, Missing, root } from "./machine.mjs";

const cache = join(root, "node_modules/.cache");
const made = join(cache, "forky-root");

/** The file in the root that has its record. */
const record = "etc/runts-forky-root.json";

/** What the tests themselves run there. Node is forky's too: that of the machine may need libraries which forky does not have. */
const basics = ["mount", "nodejs"];

/** The path of a root that has these Debian packages of forky. It is made if there is none, or another, or an old one. */
export function ensureForkyRoot(packages) {
  const wanted = [...new Set([...basics, ...packages])].sort();
  if (isReady(wanted)) return made;
  const present = readRecord();
  ensurePackages([mmdebstrap]);
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

function makeRoot(packages) {
  process.stdout.write("making a root file system of Debian's release forky; this takes some two minutes\n");
  mkdirSync(cache, { recursive: true });
  const directory = mkdtempSync(`${made}-`);
  try {
    const system = join(directory, "root");
    const include = `--include=${packages.join(",")}`;
    bootstrap("forky", system, ["--variant=apt", include, '--aptopt=APT::Install-Recommends "false"']);
    writeFileSync(join(system, record), JSON.stringify({ packages, date: new Date().toISOString() }));
    // Another process has made one meanwhile, and may be using it.
    if (isReady(packages)) return;
    if (existsSync(made)) renameSync(made, join(directory, "old"));
    renameSync(system, made);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
