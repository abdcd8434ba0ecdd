/** `npm run bench -- --probes`: `exec` by containerd in containers of each runtime, as the probes of a kubelet are. */
import { closeSync, existsSync, openSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Missing, which } from "../machine.mjs";
import { makeBundle } from "./bundles.mjs";
import { start, succeed, time, wait } from "./processes.mjs";
import { alternate } from "./rounds.mjs";

/**
 * `paths` has a runtime's path by its name. Returns the samples, in ms, of which ctr takes a part itself. The CPU time is that of the
 * runtime and the program that it starts, and is the mean of all rounds: the kernel tells it in steps of 10 ms.
 */
export function measureProbes({ paths, directory, rounds }) {
  const rootfs = join(makeBundle(join(directory, "bundle"), ["/bin/true"]), "rootfs");
  const namespace = `bench-${process.pid}`;
  const ctr = [which("ctr"), "--address", join(directory, "socket"), "--namespace", namespace];
  const call = (...words) => ({ argv: [...ctr, ...words] });
  const pid = startContainerd(directory);
  const ids = [];
  try {
    waitUntilReady(call("version"), directory);
    for (const [name, path] of Object.entries(paths)) {
      // ctr asks for the default of cpu shares, whose controller the machine may lack.
      const flags = ["--detach", "--null-io", "--cpu-shares", "0", "--runc-binary", path, "--rootfs", rootfs];
      succeed(call("run", ...flags, name, "/bin/sleep", "3600"));
      ids.push(name);
    }
    let execs = 0;
    const probe = (name) => {
      execs += 1;
      return time(call("tasks", "exec", "--exec-id", `probe-${execs}`, name, "/bin/true")).ms;
    };
    const turns = ids.map((name) => [name, () => ({ "exec by containerd": probe(name) })]);
    const ticksPerSecond = Number(succeed({ argv: [which("getconf"), "CLK_TCK"] }));
    const cpuMs = (shim) => cpuTicksOfChildren(shim) * (1000 / ticksPerSecond);
    const shims = ids.map((name) => shimOf(succeed(call("tasks", "ls")), name));
    const before = shims.map(cpuMs);
    const samples = alternate(Object.fromEntries(turns), rounds);
    const means = shims.map((shim, index) => (cpuMs(shim) - before[index]) / (execs / ids.length));
    const cpu = Object.fromEntries(ids.map((name, index) => [name, [means[index]]]));
    return { ...samples, "exec by containerd, CPU": cpu };
  } finally {
    for (const name of ids) succeed(call("tasks", "rm", "--force", name));
    for (const name of ids) succeed(call("containers", "rm", name));
    process.kill(pid, "SIGTERM");
    wait(pid);
    if (existsSync(`/sys/fs/cgroup/${namespace}`)) rmdirSync(`/sys/fs/cgroup/${namespace}`);
  }
}

/** The parent of a task's first process: each container has its own shim here. `tasks` is what `ctr tasks ls` prints. */
function shimOf(tasks, id) {
  const [, pid] = new RegExp(`^${id}\\s+(\\d+)`, "m").exec(tasks) ?? [];
  return statOf(pid)[1];
}

/** User and system time of all children that the process has waited for. */
function cpuTicksOfChildren(pid) {
  const [user, system] = statOf(pid).slice(13, 15);
  return Number(user) + Number(system);
}

/** The fields of proc_pid_stat(5) from the third on: the second, a name in parentheses, may have spaces. */
function statOf(pid) {
  return readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
}

/** containerd with its own storage, state and socket, without what only Kubernetes needs. */
function startContainerd(directory) {
  const settings = join(directory, "containerd.toml");
  const disabled = ["grpc.v1.cri", "snapshotter.v1.btrfs", "snapshotter.v1.zfs"];
  writeFileSync(
    settings,
    `version = 2
root = "${directory}/containerd-root"
state = "${directory}/containerd-state"
disabled_plugins = ${JSON.stringify(disabled.map((name) => `io.containerd.${name}`))}

[grpc]
  address = "${directory}/socket"

[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
`,
  );
  const log = openSync(join(directory, "containerd.log"), "w");
  const pid = start({ argv: [which("containerd"), "--config", settings] }, { output: log, errors: log });
  closeSync(log);
  return pid;
}

function waitUntilReady(command, directory) {
  for (let tries = 1; ; tries++) {
    if (wait(start(command)).code === 0) return;
    if (tries === 100)
      throw new Missing(
        `containerd does not answer:\n${readFileSync(join(directory, "containerd.log"), "utf8").slice(-2000)}`,
      );
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }
}
