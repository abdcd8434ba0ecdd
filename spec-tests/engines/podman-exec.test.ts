import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { IMAGE, type Podman, podmanTests } from "../harness/engines/podman.ts";
import type { Result } from "../harness/runtime.ts";

const everyday = podmanTests();

/** Runs an idle container in the background for `body`, and removes it afterwards. */
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

everyday("exec --user, --env, --workdir: applied", async (engine) => {
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

everyday("exec --detach: the process keeps running in the container", async (engine) => {
  await inContainer(engine, [], async (exec) => {
    const script = "echo done > /tmp/x; exec sleep 999";
    expect((await exec("--detach", "host", "sh", "-c", script)).code).toBe(0);
    const look = async () => (await exec("host", "cat", "/tmp/x")).stdout;
    await expect.poll(look).toBe("done\n");
    const processes = async () => (await exec("host", "ps", "-o", "args")).stdout;
    await expect.poll(processes).toContain("sleep 999\n");
  });
});

everyday("exec: the container's capabilities; exec --privileged: the machine's", async (engine) => {
  await inContainer(engine, [], async (exec) => {
    const sets = async (pid: string, ...flags: string[]) =>
      (await exec(...flags, "host", "grep", "^Cap", `/proc/${pid}/status`)).stdout;
    expect(await sets("self")).toBe(await sets("1"));
    const ofMachine = /^CapBnd:.*$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[0];
    expect(await sets("self", "--privileged")).toContain(`${ofMachine?.replace("Bnd", "Eff")}\n`);
  });
});

everyday("exec, container with a user namespace: runs as its root", async (engine) => {
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
