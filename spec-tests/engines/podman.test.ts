import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { IMAGE, openPodman, type Podman } from "../harness/podman.ts";
import { type Result, RUNTIME, which } from "../harness/runtime.ts";

let podman: Podman | undefined;

beforeAll(async () => {
  if (which("podman") !== undefined) podman = await openPodman();
}, 60_000);

afterAll(() => podman?.close(), 60_000);

/** One thing that people do with podman; afterwards no container of it is left. */
function everyday(title: string, body: (podman: Podman) => Promise<void>): void {
  test(`podman ${title}`, async (context) => {
    if (podman === undefined) return context.skip("podman is not installed: apt-get install podman");
    await body(podman);
    expect((await podman.call("ps", "--all", "--quiet")).stdout).toBe("");
    expect(podman.cgroups().filter((path) => path.includes("libpod-"))).toEqual([]);
  });
}

function run(engine: Podman, ...args: string[]): Promise<Result> {
  return engine.call("run", "--rm", ...args);
}

everyday("run: output and exit code 0", async (engine) => {
  expect(await run(engine, IMAGE, "echo", "hello")).toEqual({ code: 0, stdout: "hello\n", stderr: "" });
});

everyday("info: the runtime is the one under test, no other", async (engine) => {
  const { stdout } = await engine.call("info", "--format", "{{.Host.OCIRuntime.Path}}");
  expect(stdout.trim()).toBe(RUNTIME);
});

for (const code of [1, 42, 255]) {
  everyday(`run, program exits with ${code}: so does podman`, async (engine) => {
    expect((await run(engine, IMAGE, "sh", "-c", `exit ${code}`)).code).toBe(code);
  });
}

everyday("run, program killed: 137", async (engine) => {
  expect((await run(engine, "--pid", "host", IMAGE, "sh", "-c", "kill -9 $$")).code).toBe(137);
});

everyday("run, command not found: 127 and the reason", async (engine) => {
  const result = await run(engine, IMAGE, "no-such-command");
  expect(result.code).toBe(127);
  expect(result.stderr).toMatch(/no-such-command/);
  expect(result.stderr).toMatch(/not found|no such file/i);
});

everyday("run, command not executable: 126", async (engine) => {
  expect((await run(engine, IMAGE, "/etc/passwd")).code).toBe(126);
});

everyday("run, stdout and stderr: kept apart", async (engine) => {
  const result = await run(engine, IMAGE, "sh", "-c", "echo out; echo err >&2");
  expect(result).toEqual({ code: 0, stdout: "out\n", stderr: "err\n" });
});

everyday("run --volume: read, write and :ro", async (engine) => {
  const folder = join(engine.directory, "volume");
  mkdirSync(folder);
  writeFileSync(join(folder, "in"), "from the host\n");
  expect(
    (await run(engine, "-v", `${folder}:/data`, IMAGE, "sh", "-c", "cat /data/in; echo back > /data/out"))
      .stdout,
  ).toBe("from the host\n");
  expect(readFileSync(join(folder, "out"), "utf8")).toBe("back\n");
  const readOnly = await run(engine, "-v", `${folder}:/data:ro`, IMAGE, "touch", "/data/x");
  expect(readOnly.code).toBe(1);
  expect(readOnly.stderr).toMatch(/Read-only file system/);
});

everyday("run --volume with a name: kept between containers", async (engine) => {
  await run(engine, "-v", "kept:/data", IMAGE, "sh", "-c", "echo kept > /data/x");
  expect((await run(engine, "-v", "kept:/data", IMAGE, "cat", "/data/x")).stdout).toBe("kept\n");
  await engine.call("volume", "rm", "kept");
});

everyday("run --read-only: no writes but to /tmp", async (engine) => {
  const { stdout } = await run(
    engine,
    "--read-only",
    IMAGE,
    "sh",
    "-c",
    "touch /x 2>/dev/null || echo ro; touch /tmp/x && echo tmp",
  );
  expect(stdout).toBe("ro\ntmp\n");
});

everyday("run --user: ids and home", async (engine) => {
  const { stdout } = await run(engine, "--user", "alice", IMAGE, "sh", "-c", 'id -u; id -g; echo "$HOME"');
  expect(stdout).toBe("1000\n1000\n/home/alice\n");
});

everyday("run --cap-drop and --cap-add: the sets follow", async (engine) => {
  const show = ["sh", "-c", "grep CapEff /proc/self/status"];
  expect((await run(engine, "--cap-drop", "all", IMAGE, ...show)).stdout).toBe("CapEff:\t0000000000000000\n");
  expect((await run(engine, "--cap-drop", "all", "--cap-add", "net_raw", IMAGE, ...show)).stdout).toBe(
    "CapEff:\t0000000000002000\n",
  );
});

everyday("run --tmpfs: there, with its options", async (engine) => {
  const { stdout } = await run(
    engine,
    "--tmpfs",
    "/scratch:size=1m,mode=0700",
    IMAGE,
    "sh",
    "-c",
    "grep ' /scratch ' /proc/mounts",
  );
  expect(stdout).toMatch(/^tmpfs \/scratch tmpfs rw,.*size=1024k,mode=700/);
});

everyday("run --tty: a terminal as stdio", async (engine) => {
  const { code, stdout } = await run(engine, "--tty", IMAGE, "sh", "-c", "[ -t 0 ] && [ -t 1 ] && tty");
  expect({ code, stdout: stdout.trim() }).toEqual({ code: 0, stdout: "/dev/pts/0" });
});

everyday("run --detach, logs, stop, rm: one life", async (engine) => {
  const started = await engine.call(
    "run",
    "--detach",
    "--name",
    "life",
    IMAGE,
    "sh",
    "-c",
    "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done",
  );
  expect(started.code).toBe(0);
  await expect.poll(async () => (await engine.call("logs", "life")).stdout, { timeout: 5000 }).toBe("up\n");
  expect((await engine.call("stop", "--time", "10", "life")).code).toBe(0);
  const inspected = await engine.call("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "life");
  expect(inspected.stdout).toBe("exited 3\n");
  expect((await engine.call("rm", "life")).code).toBe(0);
});

everyday("run --detach, stop of a program that ignores SIGTERM: killed", async (engine) => {
  await engine.call(
    "run",
    "--detach",
    "--name",
    "deaf",
    IMAGE,
    "sh",
    "-c",
    "trap '' TERM; while :; do sleep 0.05; done",
  );
  expect((await engine.call("stop", "--time", "1", "deaf")).code).toBe(0);
  expect((await engine.call("inspect", "--format", "{{.State.ExitCode}}", "deaf")).stdout).toBe("137\n");
  expect((await engine.call("rm", "deaf")).code).toBe(0);
});

everyday("rm --force of a running container: gone", async (engine) => {
  await engine.call("run", "--detach", "--name", "busy", IMAGE, "sleep", "1000");
  expect((await engine.call("rm", "--force", "--time", "0", "busy")).code).toBe(0);
});

everyday("create, start --attach, restart, wait: work", async (engine) => {
  await engine.call("create", "--name", "steps", IMAGE, "sh", "-c", "echo step; exit 5");
  const attached = await engine.call("start", "--attach", "steps");
  expect(attached).toMatchObject({ code: 5, stdout: "step\n" });
  expect((await engine.call("start", "steps")).code).toBe(0);
  expect((await engine.call("wait", "steps")).stdout).toBe("5\n");
  expect((await engine.call("rm", "steps")).code).toBe(0);
});

everyday("run with the default seccomp profile: a filter is on", async (engine) => {
  expect((await run(engine, IMAGE, "grep", "^Seccomp:", "/proc/self/status")).stdout).toBe("Seccomp:\t2\n");
});

everyday("run --security-opt seccomp=FILE: that filter", async (engine) => {
  const profile = join(engine.directory, "profile.json");
  const names = ["chmod", "fchmod", "fchmodat", "fchmodat2"];
  const syscalls = [{ names, action: "SCMP_ACT_ERRNO", errnoRet: 38 }];
  writeFileSync(profile, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls }));
  const { stderr } = await run(engine, "--security-opt", `seccomp=${profile}`, IMAGE, "chmod", "700", "/tmp");
  expect(stderr).toMatch(/Function not implemented/);
});

everyday("run --security-opt seccomp=unconfined: no filter", async (engine) => {
  const { stdout } = await run(
    engine,
    "--security-opt",
    "seccomp=unconfined",
    IMAGE,
    "grep",
    "^Seccomp:",
    "/proc/self/status",
  );
  expect(stdout).toBe("Seccomp:\t0\n");
});

everyday("run --env, --workdir, --hostname, --entrypoint: as told", async (engine) => {
  const args = ["--env", "A=b c", "--workdir", "/var", "--hostname", "myhost", "--entrypoint", "sh"];
  const { stdout } = await run(engine, ...args, IMAGE, "-c", 'echo "$A"; pwd; hostname');
  expect(stdout).toBe("b c\n/var\nmyhost\n");
});

everyday("run --privileged: all capabilities of the machine, no filter", async (engine) => {
  const { code, stdout } = await run(
    engine,
    "--privileged",
    IMAGE,
    "sh",
    "-c",
    "grep ^Seccomp: /proc/self/status; mount -t tmpfs t /mnt && echo mounted",
  );
  expect({ code, stdout }).toEqual({ code: 0, stdout: "Seccomp:\t0\nmounted\n" });
});

everyday("run --uidmap: a user namespace", async (engine) => {
  const { stdout, stderr } = await run(
    engine,
    "--uidmap",
    "0:100000:65536",
    "--gidmap",
    "0:100000:65536",
    IMAGE,
    "cat",
    "/proc/self/uid_map",
  );
  expect(stdout.trim().split(/\s+/), stderr).toEqual(["0", "100000", "65536"]);
});

everyday("run --device: the node is there", async (engine) => {
  const { stdout } = await run(
    engine,
    "--device",
    "/dev/zero:/dev/my-zero",
    IMAGE,
    "stat",
    "-c",
    "%t:%T",
    "/dev/my-zero",
  );
  expect(stdout).toBe("1:5\n");
});

everyday("run --ulimit and --sysctl: set", async (engine) => {
  const args = ["--ulimit", "nofile=333:444", "--sysctl", "net.ipv4.ip_forward=1"];
  const { stdout } = await run(
    engine,
    ...args,
    IMAGE,
    "sh",
    "-c",
    "ulimit -Sn; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward",
  );
  expect(stdout).toBe("333\n444\n1\n");
});

everyday("run --init: pid 1 is not the program", async (engine) => {
  if (which("catatonit") === undefined) return;
  const { stdout } = await run(engine, "--init", IMAGE, "sh", "-c", "echo $$");
  expect(Number(stdout)).toBeGreaterThan(1);
});

everyday("pause, unpause: stands still, then runs on", async (engine) => {
  const loop = "while :; do echo tick; sleep 0.05; done";
  const status = async () =>
    (await engine.call("inspect", "--format", "{{.State.Status}}", "paused")).stdout.trim();
  const logs = async () => (await engine.call("logs", "paused")).stdout.length;
  await engine.call("run", "--detach", "--name", "paused", IMAGE, "sh", "-c", loop);
  await expect.poll(logs, { timeout: 5000 }).toBeGreaterThan(0);
  expect(await engine.call("pause", "paused")).toMatchObject({ code: 0, stderr: "" });
  expect(await status()).toBe("paused");
  const printed = await logs();
  expect(await logs()).toBe(printed);
  expect(await engine.call("unpause", "paused")).toMatchObject({ code: 0, stderr: "" });
  expect(await status()).toBe("running");
  await expect.poll(logs, { timeout: 5000 }).toBeGreaterThan(printed);
  expect((await engine.call("rm", "--force", "--time", "0", "paused")).code).toBe(0);
});

everyday("rm --force of a paused container: gone", async (engine) => {
  await engine.call("run", "--detach", "--name", "frozen", IMAGE, "sleep", "1000");
  expect((await engine.call("pause", "frozen")).code).toBe(0);
  expect((await engine.call("rm", "--force", "--time", "0", "frozen")).code).toBe(0);
});

everyday("top: the processes of the container", async (engine) => {
  await engine.call("run", "--detach", "--name", "busy", IMAGE, "sh", "-c", "sleep 1000 & sleep 1000; :");
  const top = async () =>
    (await engine.call("top", "busy", "pid", "args")).stdout.split("\n").map((line) => line.trim());
  await expect.poll(async () => (await top()).filter((line) => line.endsWith("sleep 1000"))).toHaveLength(2);
  expect((await top())[0]).toMatch(/^PID +COMMAND/);
  expect((await engine.call("rm", "--force", "--time", "0", "busy")).code).toBe(0);
});

everyday("kill --signal: reaches the program", async (engine) => {
  await engine.call(
    "run",
    "--detach",
    "--name",
    "signalled",
    IMAGE,
    "sh",
    "-c",
    "trap 'exit 9' USR1; while :; do sleep 0.05; done",
  );
  expect((await engine.call("kill", "--signal", "USR1", "signalled")).code).toBe(0);
  expect((await engine.call("wait", "signalled")).stdout).toBe("9\n");
  expect((await engine.call("rm", "signalled")).code).toBe(0);
});

/** A container in the background that does nothing, to execute something in. */
async function inContainer(
  engine: Podman,
  flags: readonly string[],
  body: (exec: (...args: string[]) => Promise<Result>) => Promise<void>,
): Promise<void> {
  const started = await engine.call("run", "--detach", "--name", "host", ...flags, IMAGE, "sleep", "1000");
  expect(started).toMatchObject({ code: 0, stderr: "" });
  try {
    await body((...args) => engine.call("exec", ...args));
  } finally {
    await engine.call("rm", "--force", "--time", "0", "host");
  }
}

everyday("exec: output, errors and exit code", async (engine) => {
  await inContainer(engine, [], async (exec) => {
    expect(await exec("host", "echo", "hello")).toEqual({ code: 0, stdout: "hello\n", stderr: "" });
    const result = await exec("host", "sh", "-c", "echo out; echo err >&2; exit 42");
    expect(result).toMatchObject({ code: 42, stdout: "out\n" });
    expect(result.stderr).toMatch(/^err\n/);
    expect((await exec("host", "sh", "-c", "kill -9 $$")).code).toBe(137);
  });
});

everyday("exec, command not found or not executable: 127 and 126", async (engine) => {
  await inContainer(engine, [], async (exec) => {
    const missing = await exec("host", "no-such-command");
    expect(missing.code).toBe(127);
    expect(missing.stderr).toMatch(/no-such-command/);
    expect((await exec("host", "/etc/passwd")).code).toBe(126);
  });
});

everyday("exec --user, --env, --workdir: as told", async (engine) => {
  await inContainer(engine, [], async (exec) => {
    const flags = ["--user", "alice", "--env", "A=b c", "--workdir", "/var"];
    const { stdout } = await exec(...flags, "host", "sh", "-c", 'id -u; id -g; echo "$A"; pwd; echo $HOME');
    expect(stdout).toBe("1000\n1000\nb c\n/var\n/home/alice\n");
    expect((await exec("--user", "7:8", "host", "sh", "-c", "id -u; id -g")).stdout).toBe("7\n8\n");
  });
});

everyday("exec --interactive --tty: a terminal as stdio", async (engine) => {
  await inContainer(engine, [], async (exec) => {
    const { code, stdout } = await exec("-it", "host", "sh", "-c", "[ -t 0 ] && [ -t 1 ] && tty; exit 3");
    expect({ code, stdout: stdout.trim() }).toEqual({ code: 3, stdout: "/dev/pts/0" });
  });
});

everyday("exec --detach: runs on in the container", async (engine) => {
  await inContainer(engine, [], async (exec) => {
    const script = "echo done > /tmp/x; exec sleep 999";
    expect((await exec("--detach", "host", "sh", "-c", script)).code).toBe(0);
    const look = async () => (await exec("host", "cat", "/tmp/x")).stdout;
    await expect.poll(look, { timeout: 5000 }).toBe("done\n");
    const processes = async () => (await exec("host", "ps", "-o", "args")).stdout;
    await expect.poll(processes, { timeout: 5000 }).toContain("sleep 999\n");
  });
});

everyday("exec, exec --privileged: the container's capabilities, the machine's", async (engine) => {
  await inContainer(engine, [], async (exec) => {
    const sets = async (pid: string, ...flags: string[]) =>
      (await exec(...flags, "host", "grep", "^Cap", `/proc/${pid}/status`)).stdout;
    expect(await sets("self")).toBe(await sets("1"));
    const ofMachine = /^CapBnd:.*$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[0];
    expect(await sets("self", "--privileged")).toContain(`${ofMachine?.replace("Bnd", "Eff")}\n`);
  });
});

everyday("exec, user namespace: its root", async (engine) => {
  const mapping = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
  await inContainer(engine, mapping, async (exec) => {
    const { stdout } = await exec("host", "sh", "-c", "id -u; cat /proc/self/uid_map");
    expect(stdout.trim().split(/\s+/)).toEqual(["0", "0", "100000", "65536"]);
  });
});

everyday("exec, container not running: error", async (engine) => {
  await engine.call("create", "--name", "idle", IMAGE, "true");
  expect((await engine.call("exec", "idle", "true")).code).not.toBe(0);
  expect((await engine.call("rm", "idle")).code).toBe(0);
});

everyday("update --pids-limit: changed, or the missing controller named", async (engine) => {
  const started = await engine.call("run", "--detach", "--name", "host", IMAGE, "sleep", "1000");
  expect(started).toMatchObject({ code: 0, stderr: "" });
  try {
    expect(await engine.call("update", "--pids-limit", "-1", "host")).toMatchObject({ code: 0 });
    const limited = await engine.call("update", "--pids-limit", "50", "host");
    const controllers = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").trim().split(" ");
    if (controllers.includes("pids")) expect(limited).toMatchObject({ code: 0 });
    else expect(limited.stderr).toMatch(/the pids controller is not available/);
    expect((await engine.call("exec", "host", "echo", "hello")).stdout).toBe("hello\n");
  } finally {
    await engine.call("rm", "--force", "--time", "0", "host");
  }
});
