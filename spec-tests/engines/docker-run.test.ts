import { readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { dockerTests, IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";

const check = dockerTests();

check("info: the runtime under test is the default one", async (docker) => {
  const { stdout } = await docker.call(
    "info",
    "--format",
    "{{.DefaultRuntime}} {{.CgroupVersion}} {{.CgroupDriver}}",
  );
  expect(stdout).toBe("tested 2 cgroupfs\n");
});

check("run: output, errors and exit code", async (docker) => {
  const run = (script: string) => docker.call("run", "--rm", IMAGE, "sh", "-c", script);
  expect(await run("echo hello")).toEqual({ code: 0, stdout: "hello\n", stderr: "" });
  expect(await run("echo err >&2; exit 42")).toEqual({ code: 42, stdout: "", stderr: "err\n" });
});

check("run, command not found, not executable or a folder: 127 or 126, and the reason", async (docker) => {
  const missing = await docker.call("run", "--rm", IMAGE, "no-such-command");
  expect(missing.code).toBe(127);
  expect(missing.stderr).toContain('exec: "no-such-command": executable file not found in $PATH');
  const absent = await docker.call("run", "--rm", IMAGE, "/no/such/file");
  expect(absent.code).toBe(127);
  expect(absent.stderr).toContain('exec: "/no/such/file": stat /no/such/file: no such file or directory');
  const text = await docker.call("run", "--rm", IMAGE, "/etc/passwd");
  expect(text.code).toBe(126);
  expect(text.stderr).toContain('exec: "/etc/passwd": permission denied');
  expect((await docker.call("run", "--rm", IMAGE, "/etc")).code).toBe(126);
});

check("run --interactive: the program gets the input and its end", async (docker) => {
  const args = ["run", "--rm", "--interactive", IMAGE, "sh", "-c", "tr a-z A-Z; echo end"];
  const { stdout } = await docker.client(args, { input: "some words" });
  expect(stdout).toBe("SOME WORDSend\n");
});

check("run, much output: all of it arrives", async (docker) => {
  const { stdout } = await docker.call("run", "--rm", IMAGE, "sh", "-c", "seq 1 200000");
  expect(lines(stdout)).toHaveLength(200_000);
  expect(stdout.endsWith("200000\n")).toBe(true);
});

check("run -it: a terminal with the caller's size, also after a resize", async (docker) => {
  const script =
    'tty; stty size; [ -t 2 ] && echo terminal; while [ "$(stty size)" != "40 120" ]; do echo resize now; sleep 0.2; done; stty size; exit 3';
  const { code, stdout } = await docker.onTerminal("run", "--rm", "-it", IMAGE, "sh", "-c", script);
  expect([...new Set(lines(stdout.replaceAll("\r", "")))]).toEqual([
    "/dev/pts/0",
    "30 90",
    "terminal",
    "resize now",
    "40 120",
  ]);
  expect(code).toBe(3);
});

check("run -it: the program gets typed input", async (docker) => {
  const script = "echo type now; read line; echo got $line";
  const { stdout } = await docker.onTerminal("run", "--rm", "-it", IMAGE, "sh", "-c", script);
  expect(stdout).toContain("got typed words");
});

check("run --tty, caller without a terminal: a terminal as stdio", async (docker) => {
  const { stdout } = await docker.call(
    "run",
    "--rm",
    "--tty",
    IMAGE,
    "sh",
    "-c",
    "tty; ls -l /proc/self/fd/1",
  );
  expect(stdout).toMatch(/^\/dev\/pts\/0\r\n.* -> \/dev\/pts\/0\r\n$/);
});

check("run --init: pid 1 is docker's init, and reaps orphans", async (docker) => {
  const script = "(sleep 0.1 &); sleep 1; ps -o pid,ppid,stat,comm";
  const { stdout } = await docker.call("run", "--rm", "--init", IMAGE, "sh", "-c", script);
  expect(stdout).toMatch(/^ *1 +0 +S\S* +docker-init$/m);
  expect(stdout).not.toMatch(/ Z /);
});

check("run --user, --group-add: sets ids, groups and HOME", async (docker) => {
  const run = async (...flags: string[]) =>
    lines(
      (await docker.call("run", "--rm", ...flags, IMAGE, "sh", "-c", "id -u; id -g; id -G; echo $HOME"))
        .stdout,
    );
  expect(await run("--user", "alice", "--group-add", "77")).toEqual([
    "1000",
    "1000",
    "1000 77",
    "/home/alice",
  ]);
  expect(await run("--user", "12:34")).toEqual(["12", "34", "34", "/"]);
});

check("run --cap-drop and --cap-add: applied", async (docker) => {
  const sets = async (...flags: string[]) => {
    const { stdout } = await docker.call("run", "--rm", ...flags, IMAGE, "grep", "^Cap", "/proc/self/status");
    return Object.fromEntries(lines(stdout).map((line) => line.split(":\t")));
  };
  const usual = "00000000a80425fb";
  const none = "0000000000000000";
  expect(await sets()).toEqual({ CapInh: none, CapPrm: usual, CapEff: usual, CapBnd: usual, CapAmb: none });
  const one = "0000000000001000";
  expect(await sets("--cap-drop", "ALL", "--cap-add", "NET_ADMIN")).toMatchObject({
    CapEff: one,
    CapBnd: one,
  });
  expect(await sets("--cap-drop", "ALL", "--user", "alice")).toMatchObject({ CapEff: none, CapBnd: none });
  expect(await sets("--user", "alice")).toMatchObject({ CapEff: none, CapBnd: usual });
});

check(
  "run --privileged: has all capabilities, no seccomp filter, the host's devices and a writable /sys",
  async (docker) => {
    const script =
      "grep -E '^(CapEff|Seccomp):' /proc/self/status; ls /dev; touch /sys/kernel/mm/x 2>&1; mount -t tmpfs tmpfs /mnt && echo mounted";
    const { stdout } = await docker.call("run", "--rm", "--privileged", IMAGE, "sh", "-c", script);
    const ofMachine = /^CapPrm:\t(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    expect(stdout).toContain(`CapEff:\t${ofMachine}\nSeccomp:\t0\n`);
    expect(lines(stdout)).toEqual(expect.arrayContaining(["mounted", "loop-control"]));
    expect(stdout).not.toContain("Read-only file system");
  },
);

check("run --security-opt no-new-privileges: applied", async (docker) => {
  const grep = [IMAGE, "grep", "^NoNewPrivs", "/proc/self/status"];
  expect((await docker.call("run", "--rm", ...grep)).stdout).toBe("NoNewPrivs:\t0\n");
  const { stdout } = await docker.call("run", "--rm", "--security-opt", "no-new-privileges", ...grep);
  expect(stdout).toBe("NoNewPrivs:\t1\n");
});

check("run with the default seccomp filter: refuses to create a user namespace", async (docker) => {
  const script = "grep ^Seccomp: /proc/self/status; unshare -U true";
  const { code, stdout, stderr } = await docker.call("run", "--rm", IMAGE, "sh", "-c", script);
  expect(stdout).toBe("Seccomp:\t2\n");
  expect(code).not.toBe(0);
  expect(stderr).toContain("Operation not permitted");
});

check("run --security-opt seccomp=FILE: that filter is applied", async (docker) => {
  const profile = join(docker.directory, "seccomp.json");
  const rule = { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 42 };
  writeFileSync(profile, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [rule] }));
  const flags = ["--security-opt", `seccomp=${profile}`];
  const { stderr, stdout } = await docker.call(
    "run",
    "--rm",
    ...flags,
    IMAGE,
    "sh",
    "-c",
    "mkdir /x; unshare -U echo fine",
  );
  expect(stderr).toMatch(/mkdir: .*No message of desired type/);
  expect(stdout).toBe("fine\n");
});

check("run --security-opt seccomp=unconfined: no filter", async (docker) => {
  const flags = ["--security-opt", "seccomp=unconfined"];
  const { stdout } = await docker.call(
    "run",
    "--rm",
    ...flags,
    IMAGE,
    "grep",
    "^Seccomp:",
    "/proc/self/status",
  );
  expect(stdout).toBe("Seccomp:\t0\n");
});

check(
  "run --security-opt apparmor=unconfined, label=disable, systempaths=unconfined: applied",
  async (docker) => {
    const flags = ["apparmor=unconfined", "label=disable", "systempaths=unconfined"].flatMap((word) => [
      "--security-opt",
      word,
    ]);
    const script = "grep -c ' /proc/' /proc/self/mountinfo";
    expect((await docker.call("run", "--rm", ...flags, IMAGE, "sh", "-c", script)).stdout).toBe("0\n");
    expect(Number((await docker.call("run", "--rm", IMAGE, "sh", "-c", script)).stdout)).toBeGreaterThan(4);
  },
);

check("run: masks paths and makes others read-only", async (docker) => {
  const script =
    "cat /proc/keys /proc/timer_list | wc -c; ls /proc/acpi /sys/firmware; echo 1 > /proc/sys/kernel/domainname";
  const { stdout, stderr } = await docker.call("run", "--rm", IMAGE, "sh", "-c", script);
  expect(stdout).toMatch(/^0\n/);
  expect(stderr).toMatch(/Read-only file system/);
});

check("run --read-only with --tmpfs and --volume: only these are writable", async (docker) => {
  const flags = ["--read-only", "--tmpfs", "/scratch:size=64k,mode=1777,noexec", "--volume", "/data"];
  const script =
    "touch /x; touch /scratch/x /data/x /dev/shm/x && echo fine; grep ' /scratch ' /proc/self/mountinfo; stat -c %a /scratch; dd if=/dev/zero of=/scratch/big bs=1k count=100";
  const { stdout, stderr } = await docker.call("run", "--rm", ...flags, IMAGE, "sh", "-c", script);
  expect(stdout).toMatch(/^fine\n.* rw,nosuid,nodev,noexec,.*size=64k.*\n1777\n$/);
  expect(stderr).toMatch(/touch: \/x: Read-only file system/);
  expect(stderr).toMatch(/No space left on device/);
});

check("run --device: the container has only the permissions given", async (docker) => {
  const script = "ls -l /dev/mine; cat < /dev/mine; echo x > /dev/mine; ls /dev/loop-control";
  const flags = ["--device", "/dev/loop-control:/dev/mine:r"];
  const { stdout, stderr } = await docker.call("run", "--rm", ...flags, IMAGE, "sh", "-c", script);
  expect(stdout).toMatch(/^c.* 10, 237 .*\/dev\/mine\n$/);
  expect(stderr).toMatch(/create \/dev\/mine: Operation not permitted/);
  expect(stderr).toMatch(/\/dev\/loop-control: No such file or directory/);
});

check("run --device-cgroup-rule: allows devices that the container makes itself", async (docker) => {
  const script = "mknod /tmp/loop c 10 237; cat /tmp/loop > /dev/null && echo opened";
  const run = (...flags: string[]) => docker.call("run", "--rm", ...flags, IMAGE, "sh", "-c", script);
  expect((await run()).stderr).toMatch(/Operation not permitted/);
  expect((await run("--device-cgroup-rule", "c 10:237 rwm")).stderr).not.toMatch(/Operation not permitted/);
});

check("run --ulimit: sets soft and hard limit; without it, those of the daemon", async (docker) => {
  const grep = (name: string, ...flags: string[]) =>
    docker.call("run", "--rm", ...flags, IMAGE, "grep", `^Max ${name}`, "/proc/self/limits");
  const files = (await grep("open files", "--ulimit", "nofile=100:200")).stdout;
  expect(files).toMatch(/^Max open files +100 +200 +files/);
  expect((await grep("core file size", "--ulimit", "core=0")).stdout).toMatch(/ 0 +0 +bytes/);
  const pid = readFileSync(join(docker.directory, "pid"), "utf8");
  const ofDaemon = lines(readFileSync(`/proc/${pid}/limits`, "utf8")).find((line) =>
    line.startsWith("Max pending"),
  );
  expect((await grep("pending")).stdout).toBe(`${ofDaemon}\n`);
});

check("run --sysctl: applied", async (docker) => {
  const flags = [
    "--sysctl",
    "net.ipv4.ip_unprivileged_port_start=81",
    "--sysctl",
    "kernel.shm_rmid_forced=1",
  ];
  const files = ["/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/shm_rmid_forced"];
  expect((await docker.call("run", "--rm", ...flags, IMAGE, "cat", ...files)).stdout).toBe("81\n1\n");
});

check("run --env, --env-file, --workdir, --hostname, --domainname, --entrypoint: applied", async (docker) => {
  const file = join(docker.directory, "variables");
  writeFileSync(file, "B=from a file\n# no variable\n");
  const flags = [
    "--env",
    "A=b c",
    "--env-file",
    file,
    "--workdir",
    "/made/for it",
    "--hostname",
    "box",
    "--domainname",
    "example.org",
  ];
  const script = 'echo "$A,$B"; pwd; hostname; cat /proc/sys/kernel/domainname';
  const { stdout } = await docker.call("run", "--rm", ...flags, "--entrypoint", "sh", IMAGE, "-c", script);
  expect(stdout).toBe("b c,from a file\n/made/for it\nbox\nexample.org\n");
});

check("run --oom-score-adj, --shm-size, --label: applied", async (docker) => {
  const flags = ["--oom-score-adj", "500", "--shm-size", "1m", "--label", "a=b", "--name", "labelled"];
  const script = "cat /proc/self/oom_score_adj; df -k /dev/shm | tail -1 | awk '{print $2}'";
  expect((await docker.call("run", ...flags, IMAGE, "sh", "-c", script)).stdout).toBe("500\n1024\n");
  expect((await docker.call("inspect", "--format", "{{.Config.Labels.a}}", "labelled")).stdout).toBe("b\n");
  await docker.call("rm", "labelled");
});

check("run --cgroupns host and private: the container sees the full path or the root", async (docker) => {
  const script = "grep ^0:: /proc/self/cgroup; ls /sys/fs/cgroup | grep -c cgroup.procs";
  const run = async (kind: string) =>
    (await docker.call("run", "--rm", "--cgroupns", kind, IMAGE, "sh", "-c", script)).stdout;
  expect(await run("private")).toBe("0::/\n1\n");
  expect(await run("host")).toMatch(/^0::\/rspec-docker-.*\/[0-9a-f]{64}\n1\n$/);
});

check("run --pid, --ipc and --uts of host or another container: shares these namespaces", async (docker) => {
  const other = ["--detach", "--name", "first", "--ipc", "shareable", IMAGE, "sleep", "1000"];
  expect((await docker.call("run", ...other)).code).toBe(0);
  const script = "for name in pid ipc uts; do readlink /proc/self/ns/$name; done";
  const links = async (...flags: string[]) =>
    lines((await docker.call("run", "--rm", ...flags, IMAGE, "sh", "-c", script)).stdout);
  const first = lines((await docker.call("exec", "first", "sh", "-c", script)).stdout);
  expect(first).toHaveLength(3);
  const joined = await links("--pid", "container:first", "--ipc", "container:first");
  expect(joined.slice(0, 2)).toEqual(first.slice(0, 2));
  const own = lines((await docker.beside("sh", "-c", script)).stdout);
  expect(await links("--pid", "host", "--ipc", "host", "--uts", "host")).toEqual(own);
  const apart = await links("--ipc", "none");
  for (const [index, link] of apart.entries()) expect(link).not.toBe(own[index]);
  await docker.call("rm", "--force", "first");
});

check("run --memory, --pids-limit: set in the cgroup, or discarded with a warning", async (docker) => {
  const controllers = readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").split(/\s+/);
  const flags = ["--detach", "--name", "limited", "--memory", "50m", "--pids-limit", "40"];
  const { stdout, stderr } = await docker.call("run", ...flags, IMAGE, "sleep", "1000");
  for (const [controller, file, value, warning] of [
    ["memory", "memory.max", "52428800\n", "memory limit"],
    ["pids", "pids.max", "40\n", "PIDs limit"],
  ] as const) {
    if (controllers.includes(controller))
      expect(readFileSync(join(docker.cgroup(stdout.trim()), file), "utf8")).toBe(value);
    else expect(stderr).toContain(`Your kernel does not support ${warning}`);
  }
  await docker.call("rm", "--force", "limited");
});

check("run --cgroup-parent: the cgroup is made there, and removed", async (docker) => {
  const { stdout } = await docker.call(
    "run",
    "--rm",
    "--cgroup-parent",
    "/rspec-docker-parent",
    "--cgroupns",
    "host",
    IMAGE,
    "grep",
    "^0::",
    "/proc/self/cgroup",
  );
  expect(stdout).toMatch(/^0::\/rspec-docker-parent\/[0-9a-f]{64}\n$/);
  rmdirSync("/sys/fs/cgroup/rspec-docker-parent"); // Fails unless the cgroup is empty.
});

check("run, ten at once: all work", async (docker) => {
  const runs = Array.from({ length: 10 }, (_, index) =>
    docker.call("run", "--rm", IMAGE, "echo", String(index)),
  );
  const results = await Promise.all(runs);
  expect(results.map(({ stdout }) => stdout)).toEqual(results.map((_, index) => `${index}\n`));
});

check("run --annotation, --cidfile, --name: applied; a name in use: refused", async (docker) => {
  const cidfile = join(docker.directory, "cid");
  const flags = ["--annotation", "org.example.a=b", "--cidfile", cidfile, "--name", "once"];
  const { stdout } = await docker.call("run", "--detach", ...flags, IMAGE, "sleep", "1000");
  expect(readFileSync(cidfile, "utf8")).toBe(stdout.trim());
  const format = '{{index .HostConfig.Annotations "org.example.a"}}';
  expect((await docker.call("inspect", "--format", format, "once")).stdout).toBe("b\n");
  const again = await docker.call("run", "--name", "once", IMAGE, "true");
  expect(again.code).toBe(125);
  expect(again.stderr).toContain("already in use");
  await docker.call("rm", "--force", "once");
});
