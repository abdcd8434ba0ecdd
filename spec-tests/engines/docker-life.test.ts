import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Docker, dockerTests, IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";

const check = dockerTests();

/** Runs a container named "it" in the background for `body`, and removes it afterwards. */
async function inBackground(
  docker: Docker,
  flags: readonly string[],
  script: string,
  body: (id: string) => Promise<void>,
): Promise<void> {
  const started = await docker.call("run", "--detach", "--name", "it", ...flags, IMAGE, "sh", "-c", script);
  expect(started).toMatchObject({ code: 0, stderr: "" });
  await body(started.stdout.trim());
  await docker.call("rm", "--force", "--volumes", "it");
}

async function inspect(docker: Docker, format: string, name = "it"): Promise<string> {
  return (await docker.call("inspect", "--format", format, name)).stdout.trim();
}

const waiting = { timeout: 20_000, interval: 200 };

const obedient = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.1; done";

check("create, start --attach, wait, rm: a whole life cycle", async (docker) => {
  const made = await docker.call("create", "--name", "it", IMAGE, "sh", "-c", "echo hello; exit 5");
  expect(made.code).toBe(0);
  expect(await inspect(docker, "{{.State.Status}} {{.State.Pid}}")).toBe("created 0");
  expect(await docker.call("start", "--attach", "it")).toMatchObject({ code: 5, stdout: "hello\n" });
  expect((await docker.call("wait", "it")).stdout).toBe("5\n");
  expect(await inspect(docker, "{{.State.Status}} {{.State.ExitCode}}")).toBe("exited 5");
  expect(await docker.call("start", "--attach", "it")).toMatchObject({ code: 5, stdout: "hello\n" });
  expect((await docker.call("rm", "it")).stdout).toBe("it\n");
});

check("stop: sends SIGTERM, and the program's own exit code is kept", async (docker) => {
  await inBackground(docker, [], obedient, async () => {
    await expect.poll(async () => (await docker.call("logs", "it")).stdout, waiting).toBe("ready\n");
    expect((await docker.call("stop", "it")).code).toBe(0);
    expect(await inspect(docker, "{{.State.ExitCode}}")).toBe("7");
    expect((await docker.call("logs", "it")).stdout).toBe("ready\ntold\n");
  });
});

check("stop, program ignores SIGTERM: killed after the time limit", async (docker) => {
  await inBackground(docker, [], "trap '' TERM; while :; do sleep 0.1; done", async () => {
    expect((await docker.call("stop", "--time", "1", "it")).code).toBe(0);
    expect(await inspect(docker, "{{.State.ExitCode}} {{.State.Status}}")).toBe("137 exited");
  });
});

check("stop, container with --stop-signal: sends that signal", async (docker) => {
  const script = "trap 'exit 9' USR1; trap '' TERM; echo ready; while :; do sleep 0.1; done";
  await inBackground(docker, ["--stop-signal", "USR1"], script, async () => {
    await expect.poll(async () => (await docker.call("logs", "it")).stdout, waiting).toBe("ready\n");
    await docker.call("stop", "it");
    expect(await inspect(docker, "{{.State.ExitCode}}")).toBe("9");
  });
});

check("kill --signal: delivered; kill: 137; kill, container stopped: error", async (docker) => {
  await inBackground(
    docker,
    [],
    "trap 'echo usr' USR1; echo ready; while :; do sleep 0.1; done",
    async () => {
      const logs = async () => (await docker.call("logs", "it")).stdout;
      await expect.poll(logs, waiting).toBe("ready\n");
      expect((await docker.call("kill", "--signal", "USR1", "it")).code).toBe(0);
      await expect.poll(logs, waiting).toBe("ready\nusr\n");
      expect((await docker.call("kill", "it")).code).toBe(0);
      expect((await docker.call("wait", "it")).stdout).toBe("137\n");
      const again = await docker.call("kill", "it");
      expect(again.code).toBe(1);
      expect(again.stderr).toMatch(/is not running/);
    },
  );
});

check("kill, children of pid 1 ignore signals: all end", async (docker) => {
  await inBackground(docker, ["--pid", "host"], "trap '' TERM; sleep 987 & sleep 986; exit", async (id) => {
    const processes = () => lines(readFileSync(join(docker.cgroup(id), "cgroup.procs"), "utf8"));
    await expect.poll(() => processes().length, waiting).toBe(3);
    await docker.call("kill", "it");
    expect((await docker.call("wait", "it")).stdout).toBe("137\n");
    await expect
      .poll(async () => (await docker.beside("sh", "-c", "cat /proc/*/cmdline 2>/dev/null")).stdout, waiting)
      .not.toMatch(/98[67]/);
  });
});

check("pause and unpause: frozen and shown as paused, exec refused, then continues", async (docker) => {
  await inBackground(
    docker,
    [],
    "i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.05; done",
    async (id) => {
      expect((await docker.call("pause", "it")).code).toBe(0);
      expect(await inspect(docker, "{{.State.Status}} {{.State.Paused}}")).toBe("paused true");
      expect(readFileSync(join(docker.cgroup(id), "cgroup.events"), "utf8")).toContain("frozen 1");
      const refused = await docker.call("exec", "it", "true");
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain("is paused");
      expect((await docker.call("pause", "it")).stderr).toMatch(/already paused/);
      expect((await docker.call("unpause", "it")).code).toBe(0);
      const count = async () => Number((await docker.call("exec", "it", "cat", "/count")).stdout);
      const before = await count();
      await expect.poll(count, waiting).toBeGreaterThan(before);
    },
  );
});

check("kill, a paused container: it ends", async (docker) => {
  await inBackground(docker, [], "sleep 1000", async () => {
    await docker.call("pause", "it");
    expect((await docker.call("kill", "it")).code).toBe(0);
    expect((await docker.call("wait", "it")).stdout).toBe("137\n");
  });
});

check("restart: a new process with the same files", async (docker) => {
  await inBackground(docker, [], "echo x >> /starts; sleep 1000", async () => {
    const pid = await inspect(docker, "{{.State.Pid}}");
    expect((await docker.call("restart", "--time", "0", "it")).code).toBe(0);
    expect(await inspect(docker, "{{.State.Pid}}")).not.toBe(pid);
    await expect
      .poll(async () => (await docker.call("exec", "it", "cat", "/starts")).stdout, waiting)
      .toBe("x\nx\n");
  });
});

check("run --restart on-failure:2: started three times in all", async (docker) => {
  await inBackground(docker, ["--restart", "on-failure:2"], "echo again; exit 3", async () => {
    await expect.poll(() => inspect(docker, "{{.State.Status}} {{.RestartCount}}"), waiting).toBe("exited 2");
    expect((await docker.call("logs", "it")).stdout).toBe("again\nagain\nagain\n");
  });
});

check("run --restart always, program killed from outside: restarted", async (docker) => {
  await inBackground(docker, ["--restart", "always"], "sleep 1000", async () => {
    const pid = await inspect(docker, "{{.State.Pid}}");
    process.kill(Number(pid), "SIGKILL");
    await expect.poll(() => inspect(docker, "{{.RestartCount}} {{.State.Running}}"), waiting).toBe("1 true");
    expect(await inspect(docker, "{{.State.Pid}}")).not.toBe(pid);
  });
});

check("run --health-cmd: the status goes from starting to healthy and unhealthy", async (docker) => {
  const flags = ["--health-cmd", "test -e /tmp/well", "--health-interval", "500ms", "--health-retries", "2"];
  await inBackground(docker, flags, "touch /tmp/well; sleep 1000", async () => {
    const health = () => inspect(docker, "{{.State.Health.Status}}");
    await expect.poll(health, waiting).toBe("healthy");
    await docker.call("exec", "it", "rm", "/tmp/well");
    await expect.poll(health, waiting).toBe("unhealthy");
    expect(await inspect(docker, "{{(index .State.Health.Log 0).ExitCode}}")).toBe("0");
  });
});

check(
  "update --restart, update --pids-limit: changed, or discarded with a warning if the controller is missing",
  async (docker) => {
    await inBackground(docker, [], "sleep 1000", async (id) => {
      expect((await docker.call("update", "--restart", "unless-stopped", "it")).code).toBe(0);
      expect(await inspect(docker, "{{.HostConfig.RestartPolicy.Name}}")).toBe("unless-stopped");
      const { code, stderr, stdout } = await docker.call("update", "--pids-limit", "50", "it");
      expect(code).toBe(0);
      if (readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").includes("pids"))
        expect(readFileSync(join(docker.cgroup(id), "pids.max"), "utf8")).toBe("50\n");
      else expect(stdout + stderr).toContain("does not support PIDs limit");
    });
  },
);

check("stats, top, port, ps: show the running container", async (docker) => {
  await inBackground(
    docker,
    ["--publish", "127.0.0.1:8090:80"],
    "sleep 998 & sleep 999; exit",
    async (id) => {
      const { stdout } = await docker.call(
        "stats",
        "--no-stream",
        "--format",
        "{{.Name}} {{.ID}} {{.NetIO}}",
        "it",
      );
      expect(stdout).toMatch(new RegExp(`^it ${id.slice(0, 12)} [0-9.]+\\w*B / [0-9.]+\\w*B\\n$`));
      const top = lines((await docker.call("top", "it", "-o", "pid,args")).stdout);
      expect(top[0]).toMatch(/^PID +COMMAND$/);
      const programs = top.slice(1).map((line) => line.replace(/^\d+ +/, ""));
      expect(programs.sort()).toEqual(["sh -c sleep 998 & sleep 999; exit", "sleep 998", "sleep 999"]);
      expect((await docker.call("port", "it")).stdout).toBe("80/tcp -> 127.0.0.1:8090\n");
      const ps = await docker.call("ps", "--format", "{{.Names}} {{.Status}} {{.Ports}}");
      expect(ps.stdout).toMatch(/^it Up .* 127.0.0.1:8090->80\/tcp\n$/);
    },
  );
});

check("logs --follow, --tail, --timestamps: show both streams", async (docker) => {
  await inBackground(
    docker,
    [],
    "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.2; done",
    async () => {
      const followed = await docker.call("logs", "--follow", "it");
      expect(followed).toEqual({ code: 0, stdout: "out 1\nout 2\nout 3\n", stderr: "err 1\nerr 2\nerr 3\n" });
      const tail = await docker.call("logs", "--tail", "1", "--timestamps", "it");
      expect(`${tail.stdout}${tail.stderr}`).toMatch(/^\d{4}-\d\d-\d\dT.*Z (out|err) 3\n$/);
    },
  );
});

check("attach, container with a terminal: input, output and exit code work", async (docker) => {
  const script = "until read -t 1 line; do echo type now; done; echo got $line; sleep 1; exit 4";
  await inBackground(docker, ["--interactive", "--tty"], script, async () => {
    const { code, stdout } = await docker.onTerminal("attach", "it");
    expect(stdout).toContain("got typed words");
    expect(code).toBe(4);
  });
});

check("start --attach --interactive, created container: input and output work", async (docker) => {
  await docker.call("create", "--interactive", "--name", "it", IMAGE, "sh", "-c", "tr a-z A-Z; exit 4");
  const attached = await docker.client(["start", "--attach", "--interactive", "it"], { input: "words\n" });
  expect(attached).toEqual({ code: 4, stdout: "WORDS\n", stderr: "" });
  await docker.call("rm", "it");
});

check("cp, running and stopped container: copies files, folders and modes in and out", async (docker) => {
  const folder = join(docker.directory, "copied");
  mkdirSync(join(folder, "in/below"), { recursive: true });
  writeFileSync(join(folder, "in/below/file"), "from the host\n", { mode: 0o640 });
  await inBackground(docker, ["--volume", "/data"], "echo inside > /data/made; sleep 1000", async () => {
    expect((await docker.call("cp", join(folder, "in"), "it:/data/in")).code).toBe(0);
    const seen = await docker.call(
      "exec",
      "it",
      "sh",
      "-c",
      "cat /data/in/below/file; stat -c %a /data/in/below/file",
    );
    expect(seen.stdout).toBe("from the host\n640\n");
    expect((await docker.call("cp", "it:/data/made", join(folder, "out"))).code).toBe(0);
    expect(readFileSync(join(folder, "out"), "utf8")).toBe("inside\n");
    await docker.call("stop", "--time", "0", "it");
    expect((await docker.call("cp", join(folder, "out"), "it:/etc/copied")).code).toBe(0);
    expect((await docker.call("cp", "it:/etc/copied", "-")).stdout).toContain("inside\n");
  });
});

check("diff, commit, export: have the container's changes", async (docker) => {
  await inBackground(docker, [], "echo made > /made; rm /etc/group; sleep 1000", async () => {
    await expect
      .poll(async () => lines((await docker.call("diff", "it")).stdout), waiting)
      .toEqual(expect.arrayContaining(["A /made", "C /etc", "D /etc/group"]));
    expect((await docker.call("commit", "--change", 'CMD ["cat", "/made"]', "it", "changed")).code).toBe(0);
    expect((await docker.call("run", "--rm", "changed")).stdout).toBe("made\n");
    const exported = join(docker.directory, "exported.tar");
    expect((await docker.call("export", "--output", exported, "it")).code).toBe(0);
    expect((await docker.beside("tar", "-xOf", exported, "made")).stdout).toBe("made\n");
    await docker.call("rmi", "changed");
  });
});

check("rename, events, inspect: consistent", async (docker) => {
  const since = Math.floor(Date.now() / 1000);
  await inBackground(docker, [], "sleep 1000", async (id) => {
    await docker.call("rename", "it", "other");
    expect(await inspect(docker, "{{.Name}} {{.Id}}", "other")).toBe(`/other ${id}`);
    await docker.call("rename", "other", "it");
    await docker.call("kill", "it");
    await docker.call("wait", "it");
    const span = ["--since", String(since), "--until", String(Math.ceil(Date.now() / 1000) + 1)];
    const { stdout } = await docker.call(
      "events",
      ...span,
      "--filter",
      `container=${id}`,
      "--format",
      "{{.Action}}",
    );
    expect(lines(stdout)).toEqual(expect.arrayContaining(["create", "start", "rename", "kill", "die"]));
  });
});

check("rm, running container: refused; rm --force --volumes: removed with its volume", async (docker) => {
  await inBackground(docker, ["--volume", "/data"], "sleep 1000", async () => {
    const refused = await docker.call("rm", "it");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/container is running/);
    const volume = await inspect(docker, "{{(index .Mounts 0).Name}}");
    expect((await docker.call("volume", "inspect", volume)).code).toBe(0);
    expect((await docker.call("rm", "--force", "--volumes", "it")).code).toBe(0);
    expect((await docker.call("volume", "inspect", volume)).code).toBe(1);
    expect((await docker.call("inspect", "it")).code).toBe(1);
  });
});

check("daemon restarted: containers are restarted by their policy", async (docker) => {
  await inBackground(docker, ["--restart", "always"], "echo x >> /starts; sleep 1000", async () => {
    await docker.restart();
    await expect.poll(() => inspect(docker, "{{.State.Running}}"), waiting).toBe("true");
    await expect
      .poll(async () => (await docker.call("exec", "it", "cat", "/starts")).stdout, waiting)
      .toBe("x\nx\n");
  });
});
