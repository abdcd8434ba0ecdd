/**
 * `npm run test:engines [-- ENGINE...] [--alone]`: installs each engine from Debian, starts it with runts as its only runtime and runs
 * its checks (spec-tests/engines/ENGINE-*.test.ts). Then it runs the same checks with Debian's runtime, which shows whether a failure is
 * runts' fault. A line for each engine tells how many checks passed with which runtime; the last line is the total. `--alone` leaves out
 * Debian's runtime.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
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
import { countJudged, runVitest } from "./run-vitest.mjs";

const shared = [
  busybox,
  {
    name: "python3",
    program: "python3",
    needed: true,
    why: "terminals, and helpers outside of the containers",
  },
  libseccomp,
  { name: "procps", program: "ps", needed: true, why: "runts ps lists processes with it" },
  { name: "iproute2", program: "ip", needed: true, why: "the engines' networks" },
];

const iptables = { name: "iptables", program: "iptables", needed: true, why: "the engine's networks" };
const criu = { name: "criu", program: "criu", needed: true, why: "checkpoints" };
const nftables = { name: "nftables", program: "nft", needed: true, why: "the engine's networks" };
const uidmap = { name: "uidmap", program: "newuidmap", needed: true, why: "user namespaces with many IDs" };

const docker = [
  { name: "docker.io", program: "dockerd", needed: true, why: "the engine" },
  { name: "docker-cli", program: "docker", needed: true, why: "its client" },
  {
    name: "docker-buildx",
    file: "/usr/libexec/docker/cli-plugins/docker-buildx",
    needed: true,
    why: "docker build by BuildKit",
  },
  criu,
  { name: "systemd", file: "/usr/lib/systemd/systemd", needed: true, why: "makes docker's cgroups" },
  { name: "dbus", program: "dbus-daemon", needed: true, why: "carries the requests to systemd" },
  iptables,
  nftables,
];

/** `peer` is the runtime that Debian uses the engine with, or the one that passes more of the checks. */
const engines = [
  { name: "docker", peer: "runc", packages: docker },
  {
    name: "buildah",
    peer: "runc",
    packages: [{ name: "buildah", program: "buildah", needed: true, why: "the engine" }],
  },
  {
    name: "compose",
    peer: "runc",
    packages: [
      ...docker,
      { name: "docker-compose", program: "docker-compose", needed: true, why: "the engine" },
      {
        name: "debootstrap",
        program: "debootstrap",
        needed: true,
        why: "makes the images of a real application",
      },
    ],
  },
  {
    name: "containerd",
    peer: "runc",
    packages: [
      { name: "containerd", program: "containerd", needed: true, why: "the engine" },
      criu,
      {
        name: "containernetworking-plugins",
        file: "/usr/lib/cni/bridge",
        needed: true,
        why: "networks of pods",
      },
    ],
  },
  {
    name: "podman",
    peer: "crun",
    packages: [
      { name: "podman", program: "podman", needed: true, why: "the engine" },
      { name: "catatonit", program: "catatonit", needed: true, why: "podman run --init" },
      { name: "netavark", file: "/usr/lib/podman/netavark", needed: true, why: "the engine's networks" },
      {
        name: "aardvark-dns",
        file: "/usr/lib/podman/aardvark-dns",
        needed: true,
        why: "names in its networks",
      },
      criu,
      nftables,
      uidmap,
    ],
  },
];

const alone = join(root, "spec-tests/harness/alone.sh");

/** A busy machine with two processors does some twenty checks a minute. */
const timeoutMs = 20 * 60_000;

/** Fails if a test file belongs to no engine of this list, since it would never run. */
function checkFiles() {
  const names = readdirSync(join(root, "spec-tests/engines")).filter((name) => name.endsWith(".test.ts"));
  const stray = names.filter((file) => !engines.some(({ name }) => file.startsWith(`${name}-`)));
  if (stray.length > 0)
    throw new Missing(`these tests belong to no engine of scripts/test-engines.mjs: ${stray.join(", ")}`);
}

function choose(names) {
  const unknown = names.filter((name) => !engines.some((engine) => engine.name === name));
  if (unknown.length > 0)
    throw new Missing(
      `no such engine: ${unknown.join(" ")} (there are: ${engines.map(({ name }) => name).join(" ")})`,
    );
  return names.length === 0 ? engines : engines.filter(({ name }) => names.includes(name));
}

/** Runs one engine's checks with one runtime. With a peer, a check that is known to fail doesn't count as passed. */
function runChecks(engine, path, directory) {
  const name = basename(path);
  process.stdout.write(`\n=== ${engine.name} with ${name}\n`);
  const report = join(directory, `${engine.name}-${name}.json`);
  const files = [`spec-tests/engines/${engine.name}-`];
  const below = [alone, path];
  const env = { RUNTIME: path };
  return { name, ...countJudged(runVitest({ project: "engines", files, env, below, report, timeoutMs })) };
}

function summary(engine, runs) {
  const counts = runs.map(({ name, passed, all, failed, skipped, known }) => {
    const rest = [
      [failed, "failed"],
      [skipped, "skipped"],
      [known.length, "known to fail"],
    ].filter(([number]) => number > 0);
    const remark = rest.map(([number, what]) => `${number} ${what}`).join(", ");
    return `${name} ${passed}/${all}${remark && ` (${remark})`}`;
  });
  const listed = runs.flatMap(({ known }) => known).map((title) => `  ${title}`);
  return [`${engine.name}: ${counts.join(", ")}`, ...listed].join("\n");
}

function testEngines() {
  const args = process.argv.slice(2);
  const chosen = choose(args.filter((word) => !word.startsWith("-")));
  const withPeers = !args.includes("--alone");
  checkFiles();
  checkMachine("npm run test:engines");
  const peers = withPeers ? [...new Set(chosen.map(({ peer }) => peer))] : [];
  ensurePackages([
    ...shared,
    ...chosen.flatMap(({ packages }) => packages),
    ...peers.map((name) => ({ name, program: name, needed: true, why: "runs the same checks" })),
  ]);
  ensureModules();
  ensureBuild();
  const directory = mkdtempSync(join(tmpdir(), "runts-engines-"));
  const results = [];
  try {
    for (const engine of chosen) {
      const runtimes = [runtime, ...(withPeers ? [which(engine.peer)] : [])];
      const runs = runtimes.map((path) => runChecks(engine, path, directory));
      results.push({ engine, runs });
      process.stdout.write(`--- ${summary(engine, runs)}\n`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  const runs = results.flatMap((result) => result.runs);
  const sum = (field) => runs.reduce((total, run) => total + run[field], 0);
  const known = runs.reduce((total, run) => total + run.known.length, 0);
  process.stdout.write(`\n${results.map((result) => summary(result.engine, result.runs)).join("\n")}\n`);
  process.stdout.write(
    `${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped, ${known} known to fail\n`,
  );
  return sum("failed") === 0 ? 0 : 1;
}

runScript("test:engines", testEngines);
