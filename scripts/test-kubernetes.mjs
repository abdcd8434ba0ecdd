/**
 * `npm run test:kubernetes [-- --checks | --conformance | --guest] [--all] [--alone]`: builds Kubernetes once, starts a cluster of three nodes whose
 * only runtime is runts, and runs the checks of spec-tests/kubernetes, and then Kubernetes' own tests of a node, [NodeConformance]. It does the
 * same with runc. `--checks` and `--conformance` run one part, `--all` runs [Conformance] too, and `--alone` leaves out runc. `--guest` checks
 * limits, on a node whose kernel has all cgroup controllers. A test of Kubernetes' own that fails with both runtimes does not fail the command.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ensureGuestKernel, guestPackages } from "./guest-kernel.mjs";
import { ensureKubernetes, kubernetesVersion } from "./kubernetes/build.mjs";
import {
  busybox,
  checkMachine,
  ensureBuild,
  ensureModules,
  ensurePackages,
  libseccomp,
  Missing,
  root,
  runScript,
  runtime,
  which,
} from "./machine.mjs";
import { brokenFiles, countJudged, countsText, failureSummary, runVitest } from "./run-vitest.mjs";

const packages = [
  busybox,
  libseccomp,
  { name: "python3", program: "python3", needed: true, why: "terminals for kubectl" },
  { name: "procps", program: "ps", needed: true, why: "runts ps lists processes with it" },
  { name: "iproute2", program: "ip", needed: true, why: "the network of the nodes" },
  { name: "iptables", program: "iptables", needed: true, why: "Kubernetes' Services" },
  { name: "conntrack", program: "conntrack", needed: true, why: "Kubernetes' Services" },
  { name: "ethtool", program: "ethtool", needed: true, why: "the kubelet asks for it" },
  { name: "socat", program: "socat", needed: true, why: "kubectl port-forward" },
  { name: "etcd-server", program: "etcd", needed: true, why: "the cluster's data" },
  { name: "containerd", program: "containerd", needed: true, why: "the engine of the nodes" },
  {
    name: "containernetworking-plugins",
    file: "/usr/lib/cni/bridge",
    needed: true,
    why: "networks of pods",
  },
  { name: "gcc", program: "gcc", needed: true, why: "programs of the images" },
  { name: "libc6-dev", file: "/usr/include/stdio.h", needed: true, why: "programs of the images" },
  { name: "curl", program: "curl", needed: true, why: "a program of the images" },
];

const openssl = { name: "openssl", program: "openssl", needed: true, why: "certificates" };

const conformance = "spec-tests/kubernetes/conformance.test.ts";

/** The parts. A peer has to pass our checks. Kubernetes' own tests only show whether it fares as runts does. */
const parts = [
  { name: "checks", project: "kubernetes", options: ["--exclude", conformance], timeoutMs: 40 * 60_000 },
  { name: "conformance", project: "kubernetes", files: [conformance], timeoutMs: 60 * 60_000 },
  // The node is emulated, which takes many minutes on a busy machine.
  { name: "guest", project: "kubernetes-guest", timeoutMs: 90 * 60_000, onlyNamed: true },
];

const options = [...parts.map(({ name }) => `--${name}`), "--all", "--alone"];

const isolated = join(root, "spec-tests/harness/kubernetes/isolated.sh");
const alone = join(root, "spec-tests/harness/alone.sh");

function runPart({ name, project, files, options, timeoutMs }, path, directory, env) {
  process.stdout.write(`\n=== ${name} with ${basename(path)}\n`);
  const run = runVitest({
    project,
    files,
    options,
    env: { ...env, RUNTIME: path },
    below: [isolated, alone, path],
    report: join(directory, `${name}-${basename(path)}.json`),
    timeoutMs,
  });
  return { part: name, runtime: basename(path), ...run, ...countJudged(run) };
}

/** Titles of the tests that have failed in a run. */
function failedTitles({ report }) {
  const tests = report?.testResults.flatMap(({ assertionResults }) => assertionResults) ?? [];
  return tests.filter(({ status }) => status === "failed").map(({ fullName }) => fullName);
}

/** Kubernetes' own tests that fail with both runtimes are no failure of runts. A run without a report is one. */
function judgeConformance(runs) {
  const [ours, peer] = runs;
  if (peer === undefined) return runs;
  const isWhole = ({ report }) => report !== undefined && brokenFiles(report).length === 0;
  if (!isWhole(ours) || !isWhole(peer)) return runs;
  const theirs = new Set(failedTitles(peer));
  const both = failedTitles(ours).filter((title) => theirs.has(title));
  return runs.map((run) => {
    const others = run === ours ? run.failed - both.length : 0;
    return {
      ...run,
      failed: others,
      known: failedTitles(run).filter((title) => run === peer || theirs.has(title)),
    };
  });
}

function summary(runs) {
  const [{ part }] = runs;
  const knownWord = part === "conformance" ? "not counted" : "known to fail";
  const counts = runs.map((run) => `${run.runtime} ${countsText(run, knownWord)}`);
  const listed = runs.flatMap(({ runtime, known }) => known.map((title) => `  ${runtime}: ${title}`));
  return [`${part}: ${counts.join(", ")}`, ...listed].join("\n");
}

function testKubernetes() {
  const args = process.argv.slice(2);
  const unknown = args.filter((word) => !options.includes(word));
  if (unknown.length > 0)
    throw new Missing(`no such option: ${unknown.join(" ")} (there are: ${options.join(" ")})`);
  const named = parts.filter(({ name }) => args.includes(`--${name}`));
  const chosen = named.length === 0 ? parts.filter(({ onlyNamed }) => !onlyNamed) : named;
  const withPeer = !args.includes("--alone");
  checkMachine("npm run test:kubernetes");
  const peer = { name: "runc", program: "runc", needed: true, why: "runs the same checks" };
  const withGuest = chosen.some(({ name }) => name === "guest");
  const ofGuest = guestPackages.map((entry) => ({ ...entry, needed: true }));
  ensurePackages([...packages, ...(withPeer ? [peer] : []), ...(withGuest ? [openssl, ...ofGuest] : [])]);
  ensureModules();
  if (withGuest && !ensureGuestKernel()) throw new Missing("there is no kernel for the guest (see above).");
  ensureBuild();
  ensureKubernetes();
  process.stdout.write(`Kubernetes ${kubernetesVersion}\n`);
  const paths = [runtime, ...(withPeer ? [which("runc")] : [])];
  const env = args.includes("--all") ? { CONFORMANCE: "all" } : {};
  const directory = mkdtempSync(join(tmpdir(), "runts-kubernetes-"));
  const results = [];
  try {
    for (const part of chosen) {
      const runs = paths.map((path) => runPart(part, path, directory, env));
      results.push(part.name === "conformance" ? judgeConformance(runs) : runs);
      process.stdout.write(`--- ${summary(results.at(-1))}\n`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const runs = results.flat();
  const sum = (field) => runs.reduce((total, run) => total + run[field], 0);
  const failures = runs.flatMap(({ runtime, report }) =>
    report === undefined ? [] : failureSummary(report).map((line) => `${runtime}: ${line}`),
  );
  process.stdout.write(`\n${[...failures, ...results.map(summary)].join("\n")}\n`);
  process.stdout.write(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped\n`);
  return sum("failed") === 0 ? 0 : 1;
}

runScript("test:kubernetes", testKubernetes);
