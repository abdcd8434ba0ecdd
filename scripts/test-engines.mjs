/**
 * `npm run test:engines [-- [--suite forky] ENGINE...] [--alone]`: installs each engine from Debian, starts it with runts as its only
 * runtime and runs its checks (spec-tests/engines/ENGINE-*.test.ts). Then it runs the same checks with Debian's runtime, which shows whether
 * a failure is runts' fault. A line for each engine tells how many checks passed with which runtime; the last line is the total. `--alone`
 * leaves out Debian's runtime. `--suite forky` takes engines and runtimes of Debian's next release, in a root file system of their own.
 * `killed` is no engine: its checks play the part of one whose calls of the runtime are killed, with runts, crun and runc side by side.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { ensureForkyRoot } from "./forky-root.mjs";
import { ensureGuestKernel, guestPackages } from "./guest-kernel.mjs";
import {
  busybox,
  checkMachine,
  ensureBuild,
  ensureModules,
  ensurePackages,
  inRoot,
  libseccomp,
  Missing,
  peerRuntimes,
  root,
  runScript,
  runtime,
  which,
} from "./machine.mjs";
import { countJudged, countsText, runVitest } from "./run-vitest.mjs";

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
const libcriu = { name: "libcriu2", library: "libcriu.so.2", needed: true, why: "checkpoints by crun" };
const nftables = { name: "nftables", program: "nft", needed: true, why: "the engine's networks" };
const uidmap = { name: "uidmap", program: "newuidmap", needed: true, why: "user namespaces with many IDs" };

const systemd = [
  { name: "systemd", file: "/usr/lib/systemd/systemd", needed: true, why: "makes the engine's cgroups" },
  { name: "dbus", program: "dbus-daemon", needed: true, why: "carries the requests to systemd" },
];

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
  ...systemd,
  iptables,
  nftables,
];

const containerd = [
  { name: "containerd", program: "containerd", needed: true, why: "the engine" },
  criu,
  ...systemd,
  {
    name: "containernetworking-plugins",
    file: "/usr/lib/cni/bridge",
    needed: true,
    why: "networks of pods",
  },
];

const neededByGuests = guestPackages.map((entry) => ({ ...entry, needed: true }));

/**
 * `peer` is the runtime that Debian uses the engine with, or the one that passes more of the checks. Checks without one compare the
 * runtimes of this machine themselves.
 */
const engines = [
  { name: "docker", version: ["dockerd", "--version"], peer: "runc", packages: docker },
  {
    name: "buildah",
    version: ["buildah", "--version"],
    peer: "runc",
    packages: [{ name: "buildah", program: "buildah", needed: true, why: "the engine" }],
  },
  {
    name: "compose",
    version: ["docker-compose", "version"],
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
  { name: "containerd", version: ["containerd", "--version"], peer: "runc", packages: containerd },
  // containerd in a machine that has all controllers, which this one may lack.
  {
    name: "guest",
    version: ["containerd", "--version"],
    peer: "runc",
    packages: [...containerd, ...neededByGuests],
    needsKernel: true,
  },
  // criu restores in a guest, see killed-restore.test.ts.
  {
    name: "killed",
    packages: [
      ...peerRuntimes.map((entry) => ({ ...entry, needed: true })),
      ...neededByGuests,
      criu,
      libcriu,
    ],
    needsKernel: true,
  },
  {
    name: "podman",
    version: ["podman", "--version"],
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
      libcriu,
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

function choose(names, suite) {
  const known = suite === undefined ? engines : engines.filter(({ peer }) => peer !== undefined);
  const unknown = names.filter((name) => !known.some((engine) => engine.name === name));
  if (unknown.length > 0)
    throw new Missing(
      `no such engine: ${unknown.join(" ")} (there are: ${known.map(({ name }) => name).join(" ")})`,
    );
  return names.length === 0 ? known : known.filter(({ name }) => names.includes(name));
}

/** The packages of engines and, `withPeers`, of the runtimes that Debian uses them with. */
function packagesOf(chosen, withPeers) {
  const peers = withPeers ? [...new Set(chosen.flatMap(({ peer }) => peer ?? []))] : [];
  return [
    ...shared,
    ...chosen.flatMap(({ packages }) => packages),
    ...peers.map((name) => ({ name, program: name, needed: true, why: "runs the same checks" })),
  ];
}

/**
 * Where the checks run: the machine itself, or a root file system of forky. `below` is a command that runs its arguments there, `find` tells
 * the path of a program, and `node` runs vitest.
 */
function preparePlace(suite, chosen, withPeers) {
  if (suite === undefined) {
    ensurePackages(packagesOf(chosen, withPeers));
    return { below: [], find: which, node: process.execPath };
  }
  if (suite !== "forky") throw new Missing(`no such suite: ${suite} (there is: forky)`);
  // The root has everything, whatever is chosen: so it need not be made anew for another engine.
  const system = ensureForkyRoot(packagesOf(choose([], suite), true).map(({ name }) => name));
  const find = (program) => which(program, system);
  return { below: [inRoot, system], find, node: find("node") };
}

/** The first version that a command of the place prints. */
function versionOf({ below }, command) {
  const [file, ...args] = [...below, ...command];
  const { stdout, stderr } = spawnSync(file, args, { encoding: "utf8" });
  const version = /\d+(?:\.\d+)+(?:-rc\.\d+)?/.exec(stdout)?.[0];
  if (version === undefined) throw new Missing(`${command.join(" ")} prints no version: ${stdout}${stderr}`);
  return version;
}

/** Runs one engine's checks with one runtime. With a peer, a check that is known to fail doesn't count as passed. */
function runChecks(place, engine, path, directory) {
  const name = `${basename(path)} ${versionOf(place, [path, "--version"])}`;
  process.stdout.write(`\n=== ${engine.label} with ${name}\n`);
  const report = join(directory, `${engine.name}-${basename(path)}.json`);
  const run = {
    project: "engines",
    files: [`spec-tests/engines/${engine.name}-`],
    below: [...place.below, ...(engine.peer === undefined ? [] : [alone, path])],
    env: { RUNTIME: path },
    node: place.node,
    report,
    timeoutMs,
  };
  return { name, ...countJudged(runVitest(run)) };
}

function summary(engine, runs) {
  const counts = runs.map((run) => `${run.name} ${countsText(run)}`);
  const listed = runs.flatMap(({ known }) => known).map((title) => `  ${title}`);
  return [`${engine.label} with ${counts.join(", ")}`, ...listed].join("\n");
}

/** The words of the command line: names of engines, `--suite` and `--alone`. */
function readArguments() {
  const options = { suite: { type: "string" }, alone: { type: "boolean", default: false } };
  try {
    return parseArgs({ allowPositionals: true, options });
  } catch (error) {
    throw new Missing(error.message);
  }
}

function testEngines() {
  const { values, positionals } = readArguments();
  const chosen = choose(positionals, values.suite);
  checkFiles();
  checkMachine("npm run test:engines");
  const place = preparePlace(values.suite, chosen, !values.alone);
  if (chosen.some(({ needsKernel }) => needsKernel) && !ensureGuestKernel())
    throw new Missing("there is no kernel for the guest (see above).");
  ensureModules();
  ensureBuild();
  const directory = mkdtempSync(join(tmpdir(), "runts-engines-"));
  const results = [];
  try {
    for (const { name, version, peer } of chosen) {
      const label = version === undefined ? name : `${name} ${versionOf(place, version)}`;
      const engine = { name, label, peer };
      const runtimes = [runtime, ...(values.alone || peer === undefined ? [] : [place.find(peer)])];
      const runs = runtimes.map((path) => runChecks(place, engine, path, directory));
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
