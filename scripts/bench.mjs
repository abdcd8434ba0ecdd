/**
 * `npm run bench [-- --rounds N] [--output FILE] [--svg | --many N | --podman | --probes]`: runts, started cold and as it is installed, beside
 * crun and runc, those of this machine and of Debian's release forky, taking turns in one run, so that other load of the machine affects
 * all of them. Prints medians and ratios, and writes all samples as JSON (dist/bench.json). With
 * --svg, the medians also become docs/speed.json, docs/speed.svg and the table of docs/speed.md. No figure makes it fail.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { readOptions } from "./bench/options.mjs";
import { ensureForkyPeers, unpackedForkyPeers } from "./forky-peers.mjs";
import {
  busybox,
  checkMachine,
  ensureBuild,
  ensureModules,
  ensurePackages,
  Missing,
  peerRuntimes,
  runScript,
  unifiedCgroup,
  withLibraries,
} from "./machine.mjs";

const packages = [busybox, ...peerRuntimes.map((entry) => ({ ...entry, needed: true }))];
const podmanPackage = { name: "podman", program: "podman", needed: true, why: "podman run is measured" };
const containerdPackage = {
  name: "containerd",
  program: "containerd",
  needed: true,
  why: "exec by it is measured",
};

/** Those of an earlier run, or new ones; undefined, with the reason told, if they can't be had. */
function forkyPeers() {
  try {
    return unpackedForkyPeers() ?? ensureForkyPeers();
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    process.stdout.write(`without forky's crun and runc, which can't be had: ${error.message}\n`);
    return undefined;
  }
}

function bench() {
  checkMachine("npm run bench");
  const { podman, probes } = readOptions();
  ensurePackages([...packages, ...(podman ? [podmanPackage] : []), ...(probes ? [containerdPackage] : [])]);
  ensureModules();
  ensureBuild();
  const libraries = forkyPeers()?.libraries;
  const below = [unifiedCgroup, ...(libraries ? [withLibraries, libraries] : [])];
  const measure = [
    process.execPath,
    join(import.meta.dirname, "bench/measure.mjs"),
    ...process.argv.slice(2),
  ];
  const [file, ...args] = [...below, ...measure];
  return spawnSync(file, args, { stdio: "inherit" }).status ?? 1;
}

runScript("bench", bench);
