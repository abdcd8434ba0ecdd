/**
 * `npm run test:peers [-- PEER...]`: runs the spec tests with this machine's runc and crun, and with the newer ones of Debian's release
 * forky. PEER is a name and the beginning of a version, such as crun or runc-1.1. A line for each peer tells how many tests passed, failed
 * and were skipped, and in how many the peer is known to differ (spec-tests/harness/peers.ts).
 */
import { spawnSync } from "node:child_process";
import { chownSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureForkyPeers } from "./forky-peers.mjs";
import {
  checkMachine,
  ensureModules,
  ensurePackages,
  Missing,
  peerRuntimes,
  runScript,
  specPackages,
  which,
  withLibraries,
} from "./machine.mjs";
import { countJudged, failureSummary, runVitest } from "./run-vitest.mjs";

/** A test that finds leftovers of a peer waits until they are gone: up to half an hour in total, on two processors. */
const timeoutMs = 60 * 60_000;

/** The peers, labelled by name and version as in runc-1.3.6. `below` is the command that runs each with its libraries. */
function findPeers() {
  const forky = ensureForkyPeers();
  const below = [withLibraries, forky.libraries];
  const peers = [
    ...peerRuntimes.map(({ program }) => ({ path: which(program), below: [] })),
    ...Object.values(forky.runtimes).map((path) => ({ path, below })),
  ];
  return peers.map((peer) => ({ ...peer, label: labelOf(peer) }));
}

function labelOf({ path, below }) {
  const [file, ...args] = [...below, path, "--version"];
  const { stdout, stderr } = spawnSync(file, args, { encoding: "utf8" });
  const found = /^(\S+) version (\d+(?:\.\d+)*)/.exec(stdout);
  if (found === null) throw new Missing(`${path} --version prints no version: ${stdout}${stderr}`);
  return `${found[1]}-${found[2]}`;
}

function choose(peers, words) {
  const unknown = words.filter((word) => !peers.some(({ label }) => label.startsWith(word)));
  if (unknown.length > 0)
    throw new Missing(
      `no such peer: ${unknown.join(" ")} (there are: ${peers.map(({ label }) => label).join(" ")})`,
    );
  return words.length === 0
    ? peers
    : peers.filter(({ label }) => words.some((word) => label.startsWith(word)));
}

function judge({ label, path, below }, directory) {
  process.stdout.write(`\n=== ${label}\n`);
  const report = join(directory, `${label}.json`);
  // Some files only have tests for runts.
  const options = ["--passWithNoTests"];
  const env = { RUNTIME: path };
  const run = keepingNull(() => runVitest({ project: "spec", options, env, below, report, timeoutMs }));
  const lines = run.report === undefined ? [] : failureSummary(run.report);
  return { label, lines, ...countJudged(run) };
}

/** Restores the owner of /dev/null: a peer gives its standard streams to the container's user, even if they are the machine's /dev/null. */
function keepingNull(judged) {
  const { uid, gid } = statSync("/dev/null");
  try {
    return judged();
  } finally {
    chownSync("/dev/null", uid, gid);
  }
}

function text({ label, passed, failed, skipped, known }) {
  return `${label}: ${passed} passed, ${failed} failed, ${skipped} skipped, ${known.length} known to differ`;
}

function testPeers() {
  checkMachine("npm run test:peers");
  ensurePackages([...specPackages, ...peerRuntimes.map((entry) => ({ ...entry, needed: true }))]);
  ensureModules();
  const peers = choose(findPeers(), process.argv.slice(2));
  const directory = mkdtempSync(join(tmpdir(), "runts-peers-"));
  const results = [];
  try {
    for (const peer of peers) {
      results.push(judge(peer, directory));
      process.stdout.write(`--- ${text(results.at(-1))}\n`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const lines = results.flatMap((result) => [
    ...result.lines.map((line) => `${result.label}: ${line}`),
    text(result),
  ]);
  process.stdout.write(`\n${lines.join("\n")}\n`);
  return results.every(({ failed }) => failed === 0) ? 0 : 1;
}

runScript("test:peers", testPeers);
