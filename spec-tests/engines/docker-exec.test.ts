import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { type Docker, dockerTests, IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";
import type { Result } from "../harness/runtime.ts";

const check = dockerTests();

async function inContainer(
  docker: Docker,
  flags: readonly string[],
  body: (exec: (...args: string[]) => Promise<Result>) => Promise<void>,
): Promise<void> {
  const started = await docker.call("run", "--detach", "--name", "host", ...flags, IMAGE, "sleep", "1000");
  expect(started).toMatchObject({ code: 0, stderr: "" });
  await body((...args) => docker.call("exec", ...args));
  await docker.call("rm", "--force", "host");
}

check("exec: output, errors, exit code, and end by a signal are passed on", async (docker) => {
  await inContainer(docker, [], async (exec) => {
    expect(await exec("host", "echo", "hello")).toEqual({ code: 0, stdout: "hello\n", stderr: "" });
    const result = await exec("host", "sh", "-c", "echo out; echo err >&2; exit 42");
    expect(result).toEqual({ code: 42, stdout: "out\n", stderr: "err\n" });
    expect((await exec("host", "sh", "-c", "kill -9 $$")).code).toBe(137);
  });
});

check("exec, command not found or not executable: exit code and the reason", async (docker) => {
  await inContainer(docker, [], async (exec) => {
    const missing = await exec("host", "no-such-command");
    // 127 is what docker run exits with.
    expect(missing.code).toBe(docker.major < 28 ? 126 : 127);
    expect(missing.stdout + missing.stderr).toContain(
      'exec: "no-such-command": executable file not found in $PATH',
    );
    expect((await exec("host", "/etc/passwd")).code).toBe(126);
  });
});

check("exec --interactive: the program gets the input and its end", async (docker) => {
  await inContainer(docker, [], async () => {
    const args = ["exec", "--interactive", "host", "sh", "-c", "tr a-z A-Z; echo end"];
    expect((await docker.client(args, { input: "words" })).stdout).toBe("WORDSend\n");
  });
});

check("exec -it: a terminal with the caller's size, also after a resize", async (docker) => {
  await inContainer(docker, [], async () => {
    const script =
      'tty; stty size; while [ "$(stty size)" != "40 120" ]; do echo resize now; sleep 0.2; done; exit 3';
    const { code, stdout } = await docker.onTerminal("exec", "-it", "host", "sh", "-c", script);
    expect([...new Set(lines(stdout.replaceAll("\r", "")))]).toEqual(["/dev/pts/0", "30 90", "resize now"]);
    expect(code).toBe(3);
  });
});

check("exec --user, --env, --workdir: applied", async (docker) => {
  await inContainer(docker, [], async (exec) => {
    const flags = ["--user", "alice", "--env", "A=b c", "--workdir", "/var"];
    const { stdout } = await exec(...flags, "host", "sh", "-c", 'id -u; id -g; echo "$A"; pwd; echo $HOME');
    expect(stdout).toBe("1000\n1000\nb c\n/var\n/home/alice\n");
    const outside = await exec("--workdir", "/nowhere", "host", "true");
    expect(outside.code).not.toBe(0);
    expect(outside.stdout + outside.stderr).toMatch(/\/nowhere/);
  });
});

check(
  "exec --privileged: the machine's capabilities; exec: the container's, with its seccomp filter and cgroup",
  async (docker) => {
    await inContainer(docker, ["--cap-drop", "ALL", "--cap-add", "CHOWN"], async (exec) => {
      const status = async (...flags: string[]) =>
        (
          await exec(
            ...flags,
            "host",
            "grep",
            "-E",
            "^(CapEff|CapBnd|Seccomp|NoNewPrivs):",
            "/proc/self/status",
          )
        ).stdout;
      expect(await status()).toBe(
        (await exec("host", "grep", "-E", "^(CapEff|CapBnd|Seccomp|NoNewPrivs):", "/proc/1/status")).stdout,
      );
      const ofMachine = /^CapPrm:\t(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
      expect(await status("--privileged")).toContain(`CapEff:\t${ofMachine}\n`);
      expect((await exec("host", "cat", "/proc/self/cgroup")).stdout).toContain("0::/\n");
    });
  },
);

check("exec --detach: the process keeps running in the container", async (docker) => {
  await inContainer(docker, [], async (exec) => {
    expect((await exec("--detach", "host", "sh", "-c", "echo done > /tmp/x; exec sleep 999")).code).toBe(0);
    await expect.poll(async () => (await exec("host", "cat", "/tmp/x")).stdout).toBe("done\n");
    await expect.poll(async () => (await exec("host", "ps", "-o", "args")).stdout).toContain("sleep 999\n");
  });
});

check("exec, ten at once: each has its own output and exit code", async (docker) => {
  await inContainer(docker, [], async (exec) => {
    const calls = Array.from({ length: 10 }, (_, index) =>
      exec("host", "sh", "-c", `echo ${index}; exit ${index}`),
    );
    const results = await Promise.all(calls);
    expect(results).toEqual(results.map((_, index) => ({ code: index, stdout: `${index}\n`, stderr: "" })));
  });
});

check("exec, container killed meanwhile: 137", async (docker) => {
  await inContainer(docker, [], async (exec) => {
    const running = exec("host", "sleep", "999");
    const processes = async () => (await exec("host", "ps", "-o", "args")).stdout;
    await expect.poll(processes).toContain("sleep 999\n");
    await docker.call("kill", "host");
    expect((await running).code).toBe(137);
  });
});

check("exec, container stopped or never started: error", async (docker) => {
  await docker.call("create", "--name", "idle", IMAGE, "true");
  const refused = await docker.call("exec", "idle", "true");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/is not running/);
  await docker.call("rm", "idle");
});

check(
  "exec, privileged container in the host's pid namespace: sees the container's mounts",
  async (docker) => {
    await inContainer(docker, ["--privileged", "--pid", "host"], async (exec) => {
      const { stdout } = await exec("host", "sh", "-c", "ls /bin/busybox; readlink /proc/self/ns/pid");
      expect(stdout).toBe(`/bin/busybox\n${(await docker.beside("readlink", "/proc/self/ns/pid")).stdout}`);
    });
  },
);
