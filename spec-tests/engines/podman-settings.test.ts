import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { IMAGE, type Podman, podmanTests, run } from "../harness/engines/podman.ts";
import { withOpen } from "../harness/helpers/descriptors.ts";

const everyday = podmanTests();

/** Runs a container in the background for `body`, and removes it afterwards. */
async function withContainer(
  engine: Podman,
  flags: string[],
  command: string[],
  body: () => Promise<void>,
): Promise<void> {
  const started = await engine.call("run", "--detach", "--name", "work", ...flags, IMAGE, ...command);
  expect(started).toMatchObject({ code: 0, stderr: "" });
  try {
    await body();
  } finally {
    expect(await engine.call("rm", "--force", "--time", "0", "work")).toMatchObject({ code: 0 });
  }
}

const inspect = async (engine: Podman, format: string): Promise<string> =>
  (await engine.call("inspect", "--format", format, "work")).stdout.trim();

everyday("healthcheck run: healthy, then unhealthy", async (engine) => {
  const flags = ["--health-cmd", "test -e /tmp/up", "--health-retries", "1", "--health-interval", "disable"];
  await withContainer(engine, flags, ["sh", "-c", "touch /tmp/up; sleep 1000"], async () => {
    const check = async (): Promise<number> => (await engine.call("healthcheck", "run", "work")).code;
    await expect.poll(check).toBe(0);
    expect(await inspect(engine, "{{.State.Health.Status}}")).toBe("healthy");
    await engine.call("exec", "work", "rm", "/tmp/up");
    expect(await check()).toBe(1);
    expect(await inspect(engine, "{{.State.Health.Status}}")).toBe("unhealthy");
  });
});

everyday("run --restart on-failure: restarted that many times", async (engine) => {
  const command = ["sh", "-c", "echo run; exit 3"];
  await withContainer(engine, ["--restart", "on-failure:2"], command, async () => {
    await expect.poll(() => inspect(engine, "{{.State.Status}} {{.RestartCount}}")).toBe("exited 2");
    expect((await engine.call("logs", "work")).stdout).toBe("run\nrun\nrun\n");
  });
});

everyday("restart, rename, ps: the container has a new process and name", async (engine) => {
  await withContainer(engine, [], ["sleep", "1000"], async () => {
    const pid = await inspect(engine, "{{.State.Pid}}");
    expect(await engine.call("restart", "--time", "0", "work")).toMatchObject({ code: 0 });
    expect(await inspect(engine, "{{.State.Pid}}")).not.toBe(pid);
    await engine.call("rename", "work", "other");
    expect((await engine.call("ps", "--format", "{{.Names}} {{.State}}")).stdout).toBe("other running\n");
    await engine.call("rename", "other", "work");
  });
});

everyday("wait --condition: returns at running, and at stopped with the exit code", async (engine) => {
  await withContainer(
    engine,
    [],
    ["sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.05; done"],
    async () => {
      expect((await engine.call("wait", "--condition", "running", "work")).stdout).toBe("-1\n");
      const stopped = engine.call("wait", "--condition", "stopped", "work");
      await engine.call("kill", "--signal", "TERM", "work");
      expect((await stopped).stdout).toBe("4\n");
    },
  );
});

everyday("logs --tail, --timestamps, --follow: work", async (engine) => {
  await withContainer(
    engine,
    [],
    ["sh", "-c", "for i in 1 2 3; do echo $i; done; sleep 1; echo last"],
    async () => {
      expect((await engine.call("logs", "--follow", "work")).stdout).toBe("1\n2\n3\nlast\n");
      expect((await engine.call("logs", "--tail", "2", "work")).stdout).toBe("3\nlast\n");
      expect((await engine.call("logs", "--timestamps", "--tail", "1", "work")).stdout).toMatch(
        /^\d{4}-\d\d-\S+ last\n$/,
      );
    },
  );
});

everyday("stats --no-stream: reports the container once", async (engine) => {
  await withContainer(engine, [], ["sleep", "1000"], async () => {
    const { code, stdout } = await engine.call("stats", "--no-stream", "--format", "json", "work");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual([expect.objectContaining({ name: "work" })]);
  });
});

everyday("attach: the program gets stdin, and its output arrives", async (engine) => {
  const command = ["sh", "-c", "read line; echo got $line"];
  await withContainer(engine, ["--interactive"], command, async () => {
    const typed = ["sh", "-c", 'echo typed | "$@"', "sh"];
    expect(await engine.below(typed, "attach", "work")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^got typed\n/),
    });
  });
});

everyday("run --systemd=always: has the mounts that systemd needs", async (engine) => {
  const script = `echo $container; for m in /run /tmp /run/lock /sys/fs/cgroup; do grep " $m " /proc/mounts | cut -d " " -f 2-4; done
    mkdir /sys/fs/cgroup/mine && echo writable; rmdir /sys/fs/cgroup/mine`;
  const { stdout } = await run(engine, "--systemd=always", IMAGE, "sh", "-c", script);
  const lines = stdout.trim().split("\n");
  expect(lines[0]).toBe("podman");
  expect(lines.at(-1)).toBe("writable");
  for (const path of ["/run", "/tmp", "/run/lock"])
    expect(lines).toContainEqual(expect.stringMatching(`^${path} tmpfs rw`));
  expect(lines).toContainEqual(expect.stringMatching("^/sys/fs/cgroup cgroup2 rw"));
});

everyday("run --timeout: ended after the time", async (engine) => {
  const begun = Date.now();
  expect((await run(engine, "--timeout", "1", IMAGE, "sleep", "1000")).code).not.toBe(0);
  expect(Date.now() - begun).toBeGreaterThan(900);
});

everyday("run --stop-signal, stop: the program gets that signal", async (engine) => {
  const command = ["sh", "-c", "trap 'exit 5' USR2; touch /up; while :; do sleep 0.05; done"];
  await withContainer(engine, ["--stop-signal", "USR2"], command, async () => {
    const up = async (): Promise<number> => (await engine.call("exec", "work", "test", "-e", "/up")).code;
    await expect.poll(up).toBe(0);
    expect(await engine.call("stop", "--time", "20", "work")).toMatchObject({ code: 0, stderr: "" });
    expect(await inspect(engine, "{{.State.ExitCode}}")).toBe("5");
  });
});

everyday("run --pid, --ipc, --uts of host or another container: shares these namespaces", async (engine) => {
  const show = ["sh", "-c", "for n in pid ipc uts; do readlink /proc/self/ns/$n; done"];
  const host = ["pid", "ipc", "uts"].map((name) => `--${name}=host`);
  const ofHost = (await run(engine, ...host, IMAGE, ...show)).stdout;
  expect((await run(engine, ...host, IMAGE, ...show)).stdout).toBe(ofHost);
  await withContainer(engine, ["--ipc", "shareable"], ["sleep", "998"], async () => {
    const other = (await engine.call("exec", "work", ...show)).stdout;
    const flags = ["--pid", "container:work", "--ipc", "container:work", "--uts", "container:work"];
    expect((await run(engine, ...flags, IMAGE, ...show)).stdout).toBe(other);
    expect((await run(engine, "--pid", "container:work", IMAGE, "ps", "-o", "args")).stdout).toMatch(
      /^sleep 998$/m,
    );
    expect(other).not.toBe(ofHost);
  });
});

everyday(
  "run --cgroupns private and host, --cgroups=disabled: the container sees its root, its path, or podman's cgroup",
  async (engine) => {
    const show = ["grep", "^0:", "/proc/self/cgroup"];
    expect((await run(engine, "--cgroupns", "private", IMAGE, ...show)).stdout).toBe("0::/\n");
    expect((await run(engine, "--cgroupns", "host", IMAGE, ...show)).stdout).toMatch(
      /^0::\/rspec-podman-[0-9a-f]+\/libpod-/,
    );
    const disabled = await run(engine, "--cgroups", "disabled", "--cgroupns", "host", IMAGE, ...show);
    expect(disabled).toEqual({
      code: 0,
      stdout: readFileSync("/proc/self/cgroup", "utf8").match(/^0::.*\n/m)?.[0],
      stderr: "",
    });
  },
);

everyday("run --umask, --shm-size, --group-add: applied", async (engine) => {
  const flags = ["--umask", "0027", "--shm-size", "2m", "--group-add", "7", "--group-add", "8"];
  const { stdout } = await run(
    engine,
    ...flags,
    IMAGE,
    "sh",
    "-c",
    "umask; grep ' /dev/shm ' /proc/mounts; id -G",
  );
  expect(stdout).toMatch(/^0027\n.*size=2048k.*\n0 7 8\n$/);
});

everyday("run --security-opt no-new-privileges, mask and unmask: applied", async (engine) => {
  const show = "grep NoNewPrivs /proc/self/status; wc -c < /proc/version; wc -l < /proc/timer_list";
  const flags = ["no-new-privileges", "mask=/proc/version", "unmask=/proc/timer_list"];
  const options = flags.flatMap((word) => ["--security-opt", word]);
  const { stdout } = await run(engine, ...options, IMAGE, "sh", "-c", show);
  expect(stdout).toMatch(/^NoNewPrivs:\t1\n0\n[1-9]\d*\n$/);
  expect((await run(engine, IMAGE, "sh", "-c", show)).stdout).toMatch(/^NoNewPrivs:\t0\n[1-9]\d*\n0\n$/);
});

everyday("run --oom-score-adj, --annotation, --label: applied", async (engine) => {
  const flags = ["--oom-score-adj", "500", "--annotation", "some.key=value", "--label", "a=b"];
  await withContainer(engine, flags, ["sleep", "1000"], async () => {
    expect((await engine.call("exec", "work", "cat", "/proc/1/oom_score_adj")).stdout).toBe("500\n");
    expect(await inspect(engine, '{{index .Config.Annotations "some.key"}} {{.Config.Labels.a}}')).toBe(
      "value b",
    );
  });
});

everyday(
  "run --annotation run.runts.landlock: the container and exec have the rules",
  async (engine) => {
    const rules = { handledAccess: { handledAccessFS: ["make_dir"] } };
    const flags = [
      ...["--annotation", `run.runts.landlock=${JSON.stringify(rules)}`],
      ...["--security-opt", "no-new-privileges"],
    ];
    await withContainer(engine, flags, ["sleep", "1000"], async () => {
      const { stderr } = await engine.call("exec", "work", "mkdir", "/tmp/new");
      expect(stderr).toContain("can't create directory '/tmp/new': Permission denied");
    });
  },
  { both: "takes no Landlock rules" },
);

everyday("run --cidfile, --pidfile, --env-file: files written, variable set", async (engine) => {
  const file = (name: string): string => join(engine.directory, name);
  writeFileSync(file("env"), "FROM_FILE=yes\n");
  const flags = ["--cidfile", file("cid"), "--pidfile", file("pid"), "--env-file", file("env")];
  await withContainer(engine, flags, ["sh", "-c", "echo $FROM_FILE; exec sleep 1000"], async () => {
    expect(readFileSync(file("cid"), "utf8")).toBe(await inspect(engine, "{{.Id}}"));
    expect(readFileSync(file("pid"), "utf8")).toBe(await inspect(engine, "{{.State.Pid}}"));
    await expect.poll(async () => (await engine.call("logs", "work")).stdout).toBe("yes\n");
  });
});

everyday("run --hooks-dir: an OCI hook runs on the host, and gets the state", async (engine) => {
  const folder = join(engine.directory, "hooks");
  mkdirSync(folder);
  const out = join(engine.directory, "hook-state");
  const hook = { path: "/bin/sh", args: ["sh", "-c", `cat > ${out}`] };
  const when = { always: true };
  const text = JSON.stringify({ version: "1.0.0", hook, when, stages: ["createRuntime"] });
  writeFileSync(join(folder, "hook.json"), text);
  expect(await run(engine, "--hooks-dir", folder, IMAGE, "true")).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(readFileSync(out, "utf8"))).toMatchObject({
    status: expect.stringMatching(/^creat(ing|ed)$/),
    pid: expect.any(Number),
  });
});

everyday("run --preserve-fds: the program gets the descriptors", async (engine) => {
  const script = 'exec 3<"$1"; shift; exec "$@"';
  const path = join(engine.directory, "descriptor");
  writeFileSync(path, "by descriptor\n");
  const words = ["run", "--rm", "--preserve-fds", "1", IMAGE, "cat", "/proc/self/fd/3"];
  const { stdout, stderr } = await engine.below(["sh", "-c", script, "sh", path], ...words);
  expect({ stdout, stderr }).toEqual({ stdout: "by descriptor\n", stderr: "" });
});

for (const command of ["run", "exec"]) {
  everyday(
    `${command} --preserve-fd=9,40: the program gets only these descriptors`,
    async (engine) => {
      const path = (fd: number): string => join(engine.directory, `descriptor-${fd}`);
      for (const fd of [9, 40]) writeFileSync(path(fd), `number ${fd}\n`);
      const outer = withOpen({ 9: path(9), 40: path(40) });
      const list = 'cd /proc/$$/fd; for fd in *; do [ -L $fd ] && printf "$fd "; done; echo';
      const script = ["sh", "-c", `cat <&9; cat <&40; ${list}`];
      const expected = { stdout: "number 9\nnumber 40\n0 1 2 40 9 \n", stderr: "" };
      if (command === "run") {
        const flags = ["run", "--rm", "--preserve-fd=9,40"];
        expect(await engine.below(outer, ...flags, IMAGE, ...script)).toMatchObject(expected);
        return;
      }
      await withContainer(engine, [], ["sleep", "1000"], async () => {
        const result = await engine.below(outer, "exec", "--preserve-fd=9,40", "work", ...script);
        expect(result).toMatchObject(expected);
      });
    },
    { runc: "a closed descriptor of --preserve-fds is an error" },
  );
}

everyday("run --interactive: the program gets stdin and its end", async (engine) => {
  const words = ["run", "--rm", "--interactive", IMAGE, "sh", "-c", "cat; echo end"];
  const { stdout } = await engine.below(["sh", "-c", 'echo typed | "$@"', "sh"], ...words);
  expect(stdout).toBe("typed\nend\n");
});

everyday("run --userns=nomap as root: error that says so", async (engine) => {
  expect((await run(engine, "--userns", "nomap", IMAGE, "true")).stderr).toMatch(/root/);
});

everyday(
  "run --device with permissions, --device-cgroup-rule: enforced by the cgroup's device program",
  async (engine) => {
    const use = ["sh", "-c", ": < /dev/mine && echo read; : > /dev/mine && echo written"];
    const readable = await run(engine, "--device", "/dev/fuse:/dev/mine:r", IMAGE, ...use);
    expect(readable).toMatchObject({ stdout: "read\n", stderr: expect.stringMatching(/not permitted/) });
    expect((await run(engine, "--device", "/dev/fuse:/dev/mine:rw", IMAGE, ...use)).stdout).toBe(
      "read\nwritten\n",
    );
    const made = ["sh", "-c", `mknod /dev/mine c 10 229; ${use[2]}`];
    const rule = ["--device-cgroup-rule", "c 10:229 rwm", "--cap-add", "mknod"];
    expect((await run(engine, ...rule, IMAGE, ...made)).stdout).toBe("read\nwritten\n");
  },
);

everyday("run --init, an orphan: reaped by pid 1", async (engine) => {
  const script = "(sleep 0.1 &) ; sleep 1; ps -o pid,ppid,stat,args";
  const { stdout } = await run(engine, "--init", IMAGE, "sh", "-c", script);
  expect(stdout).toMatch(/^ +1 +0 .*(catatonit|podman-init|run-init)/m);
  expect(stdout).not.toMatch(/ Z/);
});

everyday("exec, pid 1 not root, --privileged and --user: capabilities of each", async (engine) => {
  await withContainer(engine, ["--user", "alice", "--cap-drop", "all"], ["sleep", "1000"], async () => {
    const show = ["sh", "-c", "id -u; grep CapEff /proc/self/status"];
    expect((await engine.call("exec", "work", ...show)).stdout).toBe("1000\nCapEff:\t0000000000000000\n");
    const all = await engine.call("exec", "--user", "0", "--privileged", "work", ...show);
    expect(all.stdout).toMatch(/^0\nCapEff:\t0{5,8}[1-9a-f][0-9a-f]+\n$/);
  });
});
