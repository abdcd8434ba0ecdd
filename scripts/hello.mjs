/**
 * `npm run hello`: installs missing packages, runs the container of examples/hello with dist/runts, and compares what its process sees with
 * what the same program sees on the host.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import {
  checkMachine,
  ensureBuild,
  ensureModules,
  ensurePackages,
  hasUnifiedCgroup,
  libseccomp,
  Missing,
  root,
  runScript,
  runtime,
  unifiedCgroup,
} from "./machine.mjs";

const bundle = join(root, "examples/hello");

const packages = [libseccomp];

/** The cause of each difference between host and container. */
const notes = new Map([
  ["process id", "a pid namespace: its first process is 1"],
  ["processes it can see", "the host's are not there"],
  ["hostname", "a uts namespace"],
  ["network interfaces", "a network namespace with a loopback only"],
  ["mounts", "a mount namespace; the host's root is detached"],
  ["root file system", "examples/hello/rootfs, root.readonly"],
  ["/usr", "the host's, bound read-only"],
  ["entries in /dev", "a tmpfs with the default devices"],
  ["kernel settings", "/proc/sys is in readonlyPaths"],
  ["kernel memory", "/proc/kcore is in maskedPaths"],
  ["cgroup", "a cgroup namespace: its own cgroup is the root"],
  ["capabilities", "none in the config, though its user is root"],
  ["can gain privileges", "noNewPrivileges"],
  ["system call filter", "seccomp: mount, ptrace, bpf … are refused"],
  ["open files at most", "rlimits"],
  ["kernel", "the same: a container is no virtual machine"],
]);

function hello() {
  checkMachine("npm run hello");
  ensurePackages(packages);
  ensureModules();
  ensureBuild();
  run("sh", [join(bundle, "make-rootfs.sh")], "making examples/hello/rootfs");
  const host = tour(run("sh", [join(bundle, "tour.sh")], "looking at the host"));
  const started = process.hrtime.bigint();
  const container = tour(runContainer());
  const ms = Number(process.hrtime.bigint() - started) / 1e6;
  print(host, container);
  process.stdout.write(
    `\nThe container ran for ${ms.toFixed(0)} ms, all its programs included, and is deleted.\n`,
  );
  process.stdout.write("Its config is examples/hello/config.json: change it, and run this again.\n");
  return 0;
}

/** Runs a command and returns its output; if it fails, the script ends with the command's messages. */
function run(command, args, purpose) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", timeout: 60_000 });
  if (status !== 0)
    throw new Missing(`${purpose} failed:\n${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`);
  return stdout;
}

function runContainer() {
  const state = mkdtempSync(join(tmpdir(), "runts-hello-"));
  const command = [runtime, "--root", state, "run", "--bundle", bundle, `hello-${process.pid}`];
  process.stdout.write(`$ runts run --bundle examples/hello hello-${process.pid}\n`);
  const unified = hasUnifiedCgroup();
  if (!unified)
    process.stdout.write(
      "(/sys/fs/cgroup is not a cgroup2 here, so the command runs in a mount namespace where it is)\n",
    );
  const [file, ...args] = unified ? command : [unifiedCgroup, ...command];
  try {
    return run(file, args, "running the container");
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
}

/** Parses the lines "subject|value" of tour.sh. */
function tour(text) {
  return new Map(
    text
      .trim()
      .split("\n")
      .map((line) => line.split("|").map((part) => part.trim())),
  );
}

function print(host, container) {
  const rows = [...container].map(([subject, value]) => [
    subject,
    host.get(subject) ?? "",
    value,
    notes.get(subject) ?? "",
  ]);
  const table = [["", `on ${hostname()}`, "in the container", ""], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column].length)) + 2);
  process.stdout.write("\n");
  for (const [subject, here, inside, note] of table) {
    const cells = [subject.padEnd(widths[0]), here.padEnd(widths[1]), inside.padEnd(widths[2]), note];
    process.stdout.write(`${cells.join("").trimEnd()}\n`);
  }
}

runScript("hello", hello);
