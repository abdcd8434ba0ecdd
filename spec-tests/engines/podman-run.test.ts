import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { IMAGE, podmanTests, run } from "../harness/engines/podman.ts";
import { RUNTIME, which } from "../harness/runtime.ts";

const everyday = podmanTests();

everyday("run: output and exit code 0", async (engine) => {
  expect(await run(engine, IMAGE, "echo", "hello")).toEqual({ code: 0, stdout: "hello\n", stderr: "" });
});

everyday("info: shows the runtime under test", async (engine) => {
  const { stdout } = await engine.call("info", "--format", "{{.Host.OCIRuntime.Path}}");
  expect(stdout.trim()).toBe(RUNTIME);
});

for (const code of [1, 42, 255]) {
  everyday(`run, program exits with ${code}: podman exits with the same code`, async (engine) => {
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

everyday("run: stdout and stderr are kept apart", async (engine) => {
  const result = await run(engine, IMAGE, "sh", "-c", "echo out; echo err >&2");
  expect(result).toEqual({ code: 0, stdout: "out\n", stderr: "err\n" });
});

everyday("run --volume: reads and writes work, and :ro is read-only", async (engine) => {
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

everyday("run --volume with a name: the volume outlives its container", async (engine) => {
  await run(engine, "-v", "kept:/data", IMAGE, "sh", "-c", "echo kept > /data/x");
  expect((await run(engine, "-v", "kept:/data", IMAGE, "cat", "/data/x")).stdout).toBe("kept\n");
  await engine.call("volume", "rm", "kept");
});

everyday("run --read-only: only /tmp is writable", async (engine) => {
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

everyday("run --user: sets ids and HOME", async (engine) => {
  const { stdout } = await run(engine, "--user", "alice", IMAGE, "sh", "-c", 'id -u; id -g; echo "$HOME"');
  expect(stdout).toBe("1000\n1000\n/home/alice\n");
});

everyday("run --cap-drop and --cap-add: applied", async (engine) => {
  const show = ["sh", "-c", "grep CapEff /proc/self/status"];
  expect((await run(engine, "--cap-drop", "all", IMAGE, ...show)).stdout).toBe("CapEff:\t0000000000000000\n");
  expect((await run(engine, "--cap-drop", "all", "--cap-add", "net_raw", IMAGE, ...show)).stdout).toBe(
    "CapEff:\t0000000000002000\n",
  );
});

everyday("run --tmpfs: mounted with its options", async (engine) => {
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

everyday("run with the default seccomp profile: a filter is on", async (engine) => {
  expect((await run(engine, IMAGE, "grep", "^Seccomp:", "/proc/self/status")).stdout).toBe("Seccomp:\t2\n");
});

everyday("run --security-opt seccomp=FILE: that filter is applied", async (engine) => {
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

everyday("run, empty entrypoint: 127 and the reason", async (engine) => {
  const empty = join(engine.directory, "empty");
  mkdirSync(empty);
  for (const words of [
    ["--rootfs", empty],
    ["--entrypoint", '[""]', IMAGE],
    [IMAGE, ""],
  ]) {
    const { code, stderr } = await run(engine, ...words);
    expect(code).toBe(127);
    expect(stderr).toMatch(/(?:not|cannot) f(?:ou|i)nd/);
    expect(stderr).toContain("attempted to invoke a command that was not found");
  }
});

everyday("run --env, --workdir, --hostname, --entrypoint: applied", async (engine) => {
  const args = ["--env", "A=b c", "--workdir", "/var", "--hostname", "myhost", "--entrypoint", "sh"];
  const { stdout } = await run(engine, ...args, IMAGE, "-c", 'echo "$A"; pwd; hostname');
  expect(stdout).toBe("b c\n/var\nmyhost\n");
});

everyday("run --privileged: has all capabilities of the machine and no seccomp filter", async (engine) => {
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

everyday("run --uidmap: runs in a user namespace", async (engine) => {
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

everyday("run --device: the device is there", async (engine) => {
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

everyday("run --ulimit and --sysctl: applied", async (engine) => {
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

everyday("run --init: the program is not pid 1", async (engine, context) => {
  if (which("catatonit") === undefined) context.skip("catatonit is not installed: apt-get install catatonit");
  const { stdout } = await run(engine, "--init", IMAGE, "sh", "-c", "echo $$");
  expect(Number(stdout)).toBeGreaterThan(1);
});
