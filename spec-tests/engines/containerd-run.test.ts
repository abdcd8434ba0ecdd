import { chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { defaultConfig } from "../harness/config.ts";
import { containerdTests } from "../harness/engines/containerd.ts";
import { baseRootfs, copyRootfs } from "../harness/rootfs.ts";
import { invoke, RUNTIME } from "../harness/runtime.ts";

const everyday = containerdTests();

everyday("run: output and exit code 0", async (engine) => {
  expect(await engine.run(["--rm"], "hello", "echo", "hello")).toEqual({
    code: 0,
    stdout: "hello\n",
    stderr: "",
  });
});

for (const code of [1, 42, 255]) {
  everyday(`run, program exits with ${code}: ctr exits with the same code`, async (engine) => {
    expect((await engine.run(["--rm"], "exits", "sh", "-c", `exit ${code}`)).code).toBe(code);
  });
}

everyday("run: stdout and stderr are kept apart", async (engine) => {
  const result = await engine.run(["--rm"], "streams", "sh", "-c", "echo out; echo err >&2");
  expect(result).toEqual({ code: 0, stdout: "out\n", stderr: "err\n" });
});

everyday("run, command not found: error with the runtime's reason", async (engine) => {
  const result = await engine.run(["--rm"], "missing", "no-such-command");
  expect(result.code).toBe(1);
  expect(result.stderr).toContain('exec: "no-such-command": executable file not found in $PATH');
});

everyday("run, command not executable: error with the runtime's reason", async (engine) => {
  const result = await engine.run(["--rm"], "denied", "/etc/passwd");
  expect(result.code).toBe(1);
  expect(result.stderr).toMatch(/exec: "\/etc\/passwd": permission denied/);
});

everyday("run --tty: a terminal as stdio", async (engine) => {
  const words = ["--rm", "--tty"];
  const show = [
    "sh",
    "-c",
    "[ -t 0 ] && [ -t 1 ] && tty; until stty size 2>/dev/null | grep .; do sleep 0.05; done",
  ];
  const { code, stdout } = await engine.onTerminal(...engine.runWords(words, "terminal", ...show));
  expect({ code, lines: stdout.trim().split(/\s*\n/) }).toEqual({ code: 0, lines: ["/dev/pts/0", "30 90"] });
});

everyday("run --user, --cwd, --env, --hostname: applied", async (engine) => {
  const flags = ["--rm", "--user", "1000:1000", "--cwd", "/var", "--env", "A=b c", "--hostname", "myhost"];
  const { stdout } = await engine.run(flags, "told", "sh", "-c", 'id -u; id -g; pwd; echo "$A"; hostname');
  expect(stdout).toBe("1000\n1000\n/var\nb c\nmyhost\n");
});

everyday("run --mount, bind: reads and writes work", async (engine) => {
  const folder = join(engine.directory, "volume");
  mkdirSync(folder);
  writeFileSync(join(folder, "in"), "from the host\n");
  const mount = (options: string) => [
    "--rm",
    "--mount",
    `type=bind,src=${folder},dst=/mnt,options=${options}`,
  ];
  const script = "cat /mnt/in; echo back > /mnt/out";
  expect((await engine.run(mount("rbind:rw"), "bound", "sh", "-c", script)).stdout).toBe("from the host\n");
  expect(readFileSync(join(folder, "out"), "utf8")).toBe("back\n");
  const readOnly = await engine.run(mount("rbind:ro"), "bound", "touch", "/mnt/x");
  expect(readOnly.code).toBe(1);
  expect(readOnly.stderr).toMatch(/Read-only file system/);
});

everyday("run --mount with rro: mounts below are read-only, too", async (engine) => {
  // On every host, /sys has mounts below it, such as the cgroups.
  const mount = ["--rm", "--mount", "type=bind,src=/sys,dst=/mnt,options=rbind:rro"];
  const { stdout, stderr } = await engine.run(mount, "rro", "grep", " /mnt", "/proc/mounts");
  expect(stderr).toBe("");
  const lines = stdout.trim().split("\n");
  expect(lines.length).toBeGreaterThan(1);
  for (const line of lines) expect(line.split(" ")[3]).toMatch(/^ro\b/);
});

everyday("run --read-only: can't write", async (engine) => {
  const script = "touch /x 2>/dev/null || echo ro";
  expect((await engine.run(["--rm", "--read-only"], "ro", "sh", "-c", script)).stdout).toBe("ro\n");
});

everyday("run --privileged: has all capabilities of the machine", async (engine) => {
  const script = "grep CapEff /proc/self/status; mount -t tmpfs t /mnt && echo mounted";
  const { stdout } = await engine.run(["--rm", "--privileged"], "privileged", "sh", "-c", script);
  const ofMachine = /^CapBnd:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  expect(stdout).toBe(`CapEff:\t${ofMachine}\nmounted\n`);
});

everyday("run --cap-drop, --cap-add, --allow-new-privs: applied", async (engine) => {
  const show = ["grep", "-E", "^(CapEff|NoNewPrivs)", "/proc/self/status"];
  const dropped = await engine.run(["--rm", "--cap-drop", "CAP_CHOWN"], "dropped", ...show);
  expect(dropped.stdout).toMatch(/^NoNewPrivs:\t1$/m);
  const bits = BigInt(`0x${/CapEff:\t(\w+)/.exec(dropped.stdout)?.[1]}`);
  expect(bits & 1n).toBe(0n);
  expect(bits & (1n << 10n)).not.toBe(0n); // CAP_NET_BIND_SERVICE is still there
  const flags = ["--rm", "--allow-new-privs", "--cap-add", "CAP_NET_ADMIN"];
  const added = await engine.run(flags, "added", ...show);
  expect(added.stdout).toMatch(/^NoNewPrivs:\t0$/m);
  expect(BigInt(`0x${/CapEff:\t(\w+)/.exec(added.stdout)?.[1]}`) & (1n << 12n)).not.toBe(0n);
});

everyday("run --seccomp: containerd's default filter is on", async (engine) => {
  const show = ["grep", "^Seccomp:", "/proc/self/status"];
  expect((await engine.run(["--rm", "--seccomp"], "filtered", ...show)).stdout).toBe("Seccomp:\t2\n");
  expect((await engine.run(["--rm"], "open", ...show)).stdout).toBe("Seccomp:\t0\n");
});

everyday("run --net-host: shares containerd's network namespace", async (engine) => {
  const show = ["readlink", "/proc/self/ns/net"];
  const own = (await engine.run(["--rm"], "own", ...show)).stdout;
  const shared = (await engine.run(["--rm", "--net-host"], "shared", ...show)).stdout;
  expect(shared).toBe(`${engine.ofDaemon("net")}\n`);
  expect(own).not.toBe(shared);
});

everyday("run --device: the device can be read", async (engine) => {
  const show = ["sh", "-c", "stat -c %t:%T /dev/full; echo x > /dev/full"];
  const { stdout, stderr } = await engine.run(["--rm", "--device", "/dev/full"], "device", ...show);
  expect(stdout).toBe("1:7\n");
  expect(stderr).toMatch(/No space left on device/);
});

everyday("run --uidmap: a user namespace, whose root owns the image's files", async (engine) => {
  const flags = ["--rm", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
  const script = "id -u; cat /proc/self/uid_map; stat -c %u:%g /bin/busybox; touch /new && echo written";
  const { stdout, stderr } = await engine.run(flags, "mapped", "sh", "-c", script);
  expect(stdout.trim().split(/\s+/), stderr).toEqual(["0", "0", "100000", "65536", "0:0", "written"]);
});

everyday("run --with-ns: an existing namespace is joined", async (engine) => {
  await engine.run(["--detach"], "holder", "sleep", "1000");
  const pid = await engine.pid("holder");
  const show = ["--rm", "--with-ns", `network:/proc/${pid}/ns/net`, "--with-ns", `ipc:/proc/${pid}/ns/ipc`];
  const script = "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc";
  const { stdout } = await engine.run(show, "guest", "sh", "-c", script);
  const holder = await engine.exec("holder", "sh", "-c", script);
  expect(stdout).toBe(holder.stdout);
  expect(stdout).not.toBe("");
  await engine.remove("holder");
});

everyday("run --pid-file: has the pid of the task", async (engine) => {
  const file = join(engine.directory, "pid");
  await engine.run(["--detach", "--pid-file", file], "pid", "sleep", "1000");
  expect(readFileSync(file, "utf8")).toBe(String(await engine.pid("pid")));
  await engine.remove("pid");
});

everyday("run --snapshotter native: works with a bind mount as rootfs", async (engine) => {
  const { stdout } = await engine.run(
    ["--rm", "--snapshotter", "native"],
    "native",
    "sh",
    "-c",
    "echo > /x && ls /x",
  );
  expect(stdout).toBe("/x\n");
});

everyday("run --runc-root: keeps the state there", async (engine) => {
  const root = join(engine.directory, "other-root");
  await engine.run(["--detach", "--runc-root", root], "elsewhere", "sleep", "1000");
  const args = ["--root", join(root, engine.namespace), "state", "elsewhere"];
  expect((await invoke(args, { directory: engine.directory })).stdout).toMatch(/"status": "running"/);
  await engine.remove("elsewhere");
});

everyday(
  "run --config with an id-mapped mount: files have the mapped ids",
  async (engine) => {
    const folder = join(engine.directory, "mapped");
    mkdirSync(folder);
    writeFileSync(join(folder, "of-1000"), "");
    chownSync(join(folder, "of-1000"), 1000, 1000);
    const config = defaultConfig();
    const rootfs = join(engine.directory, "rootfs-of-config");
    copyRootfs(baseRootfs(), rootfs);
    config.root = { path: rootfs };
    config.linux.cgroupsPath = `/${engine.namespace}/configured`;
    config.process.args = ["stat", "-c", "%u:%g", "/mnt/of-1000"];
    const mapping = [{ containerID: 1000, hostID: 7000, size: 1 }];
    const ids = { uidMappings: mapping, gidMappings: mapping };
    config.mounts.push({ destination: "/mnt", source: folder, type: "bind", options: ["rbind"], ...ids });
    const file = join(engine.directory, "config-of-ctr.json");
    writeFileSync(file, JSON.stringify(config));
    const { stdout, stderr } = await engine.call(
      "run",
      "--rm",
      "--runc-binary",
      RUNTIME,
      "--config",
      file,
      "configured",
    );
    expect({ stdout, stderr }).toEqual({ stdout: "7000:7000\n", stderr: "" });
  },
  { runc: { reason: "id-mapped mounts came with runc 1.2", before: "1.2" } },
);
