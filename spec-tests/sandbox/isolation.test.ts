import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { spec } from "../harness/spec.ts";
import { asBoth, CLAUSE, linesOf, ONLY_RUNTS, runSandbox, workDirectory } from "./sandbox.ts";

asBoth("the working directory: can be read, and not changed", async (sandbox) => {
  const lines = await linesOf(sandbox, [], "pwd; cat source; (echo x > new) 2>&1; rm source 2>&1 || true");
  expect(lines.slice(0, 2)).toEqual([workDirectory(sandbox), "text"]);
  expect(lines[2]).toMatch(/Read-only file system/);
  expect(readFileSync(join(workDirectory(sandbox), "source"), "utf8")).toBe("text\n");
});

asBoth("--rw: the program can change that directory, as the caller", async (sandbox, uid) => {
  expect(await linesOf(sandbox, ["--rw", "."], "echo x > new; stat -c %u new")).toEqual([String(uid)]);
  expect(readFileSync(join(workDirectory(sandbox), "new"), "utf8")).toBe("x\n");
});

asBoth("--rw below the working directory: only that can be changed", async (sandbox) => {
  const out = join(workDirectory(sandbox), "out");
  mkdirSync(out);
  chmodSync(out, 0o777);
  const lines = await linesOf(sandbox, ["--rw", "out"], "echo x > out/new; echo x > new || echo refused");
  expect(lines).toEqual(["refused"]);
  expect(existsSync(join(out, "new"))).toBe(true);
});

asBoth("--ro and --rw with a destination, --tmpfs: are there", async (sandbox) => {
  const data = sandbox.path("data");
  mkdirSync(data);
  writeFileSync(join(data, "file"), "data\n");
  const options = ["--ro", `${data}:/srv/data`, "--ro", join(data, "file"), "--tmpfs", "/scratch"];
  const script = `cat /srv/data/file ${data}/file; echo x > /srv/data/x || echo refused; echo y > /scratch/y; cat /scratch/y`;
  expect(await linesOf(sandbox, options, script)).toEqual(["data", "data", "refused", "y"]);
});

asBoth("home, /tmp and /var/tmp: are empty, its own, and gone afterwards", async (sandbox) => {
  const script =
    'for d in "$HOME" /tmp /var/tmp; do ls -A $d | grep -v "^hs-\\|^spec" ; echo x > $d/x; done; echo $HOME';
  expect((await linesOf(sandbox, ["--cwd", "/"], script)).at(-1)).toBe("/home/tester");
  expect(existsSync("/tmp/x")).toBe(false);
  expect(await linesOf(sandbox, ["--cwd", "/tmp"], "ls -A /tmp; pwd")).toEqual(["/tmp"]);
});

asBoth("the host's files: programs and settings only, nothing secret, nothing of /run", async (sandbox) => {
  const secrets =
    "/etc/shadow /etc/ssh /etc/ssl/private /etc/sudoers /run /sys /boot /var/log /var/lib /opt /srv /mnt /root/.ssh";
  const lines = await linesOf(
    sandbox,
    [],
    `for f in ${secrets}; do [ ! -e $f ] || echo "there: $f"; done; for f in /usr/bin/env /bin/sh /etc/passwd /proc/self /dev/null; do [ -e $f ] || echo "missing: $f"; done; ls /`,
  );
  const here = ["bin", "dev", "etc", "home", "lib", "lib64", "proc", "sbin", "tmp", "usr", "var"];
  expect(lines.filter((line) => !["lib32", "libx32"].includes(line))).toEqual(here);
});

asBoth("the system: can't be changed", async (sandbox) => {
  const script =
    "for f in /x /usr/x /etc/x /etc/passwd /bin/x /proc/sys/kernel/core_pattern; do (: >> $f) 2>/dev/null && echo $f; done; true";
  expect(await linesOf(sandbox, [], script)).toEqual([""]);
});

asBoth("other processes: none is visible, and there is no way back by /proc/1", async (sandbox) => {
  const script = "ls /proc | grep -c '^[0-9]' ; cat /proc/1/comm; ls /proc/1/root/ 2>/dev/null || true";
  const [count, init, ...root] = await linesOf(sandbox, ["--cwd", "/"], script);
  expect(Number(count)).toBeLessThan(6);
  expect(init).toMatch(/^runts/);
  expect(root).not.toContain("run");
});

asBoth(
  "privileges: no capabilities, no_new_privs, a filter, no groups, no new user namespace",
  async (sandbox, uid) => {
    const script =
      "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; unshare --user true 2>/dev/null || echo refused; id -u; id -G";
    const zero = "0000000000000000";
    expect((await linesOf(sandbox, [], script)).map((line) => line.replace(/\s+/g, " "))).toEqual([
      ...["Inh", "Prm", "Eff", "Bnd", "Amb"].map((set) => `Cap${set}: ${zero}`),
      "NoNewPrivs: 1",
      "Seccomp: 2",
      "refused",
      String(uid),
      String(uid),
    ]);
  },
);

asBoth("denied system calls: mount, setns, pidfd_getfd, and typing into a terminal", async (sandbox) => {
  const script = `python3 - <<'END'
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def refused(name, *args):
    result = getattr(libc, name)(*args)
    print(name, result, errno.errorcode.get(ctypes.get_errno(), 0))
refused("mount", b"none", b"/tmp", b"tmpfs", 0, None)
refused("ioctl", 0, ctypes.c_ulong(0x5412), b"x")
refused("ioctl", 0, ctypes.c_ulong(0x1_0000_5412), b"x")
refused("setns", 0, 0)
refused("syscall", 438, 0, 0, 0)
END`;
  expect(await linesOf(sandbox, [], script)).toEqual([
    "mount -1 EPERM",
    "ioctl -1 EPERM",
    "ioctl -1 EPERM",
    "setns -1 EPERM",
    "syscall -1 EPERM",
  ]);
});

asBoth("--uid: is the user in the sandbox", async (sandbox, caller) => {
  const lines = await linesOf(
    sandbox,
    ["--uid", "4242", "--rw", "."],
    "id -u; echo x > new; echo y > ~/y; stat -c %u new",
  );
  expect(lines).toEqual(["4242", "4242"]);
  const { stdout } = await sandbox.run(["stat", "-c", "%u", join(workDirectory(sandbox), "new")]);
  // Root takes another id of the host; anybody else has only his own.
  expect(stdout.trim()).toBe(caller === 0 ? "4242" : String(caller));
});

asBoth("descriptors: standard streams only", async (sandbox) => {
  const words = ["--", "sh", "-c", "ls /proc/self/fd; ls -l /proc/self/fd | grep -c secret"];
  const wrapper = [
    ...sandbox.wrapper,
    "sh",
    "-c",
    'exec 7< "$0" && exec "$@"',
    join(workDirectory(sandbox), "source"),
  ];
  const { stdout } = await runSandbox(sandbox, words, { wrapper });
  // The last one is ls's own, of the directory.
  expect(stdout.trim().split("\n")).toEqual(["0", "1", "2", "3", "0"]);
});

asBoth("environment: PATH, HOME, TERM and LANG, and what --env names", async (sandbox) => {
  const env = { SECRET: "s", PASSED: "a b", NODE_OPTIONS: "--inspect", TERM: "vt100", LANG: "C.UTF-8" };
  const words = ["--env", "PASSED", "--env=NODE_OPTIONS", "-e", "SET=1=2", "--", "env"];
  const { stdout } = await runSandbox(sandbox, words, { env });
  expect(stdout.trim().split("\n").sort()).toEqual([
    "HOME=/home/tester",
    "LANG=C.UTF-8",
    "NODE_OPTIONS=--inspect",
    "PASSED=a b",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SET=1=2",
    "TERM=vt100",
  ]);
});

asBoth(
  "--net: none has a loopback device of its own only; host is the host's, with its resolv.conf",
  async (sandbox) => {
    const script =
      "readlink /proc/self/ns/net; ls /etc/resolv.conf 2>/dev/null; cut -d: -f1 -s /proc/net/dev | tr -d ' '";
    const [own, ...devices] = await linesOf(sandbox, [], script);
    expect(devices).toEqual(["lo"]);
    const { stdout } = await sandbox.run(["readlink", "/proc/self/ns/net"]);
    expect(own).not.toBe(stdout.trim());
    const [shared, resolver] = await linesOf(sandbox, ["--net", "host"], script);
    expect(shared).toBe(stdout.trim());
    expect(resolver).toBe("/etc/resolv.conf");
  },
);

asBoth(
  "--net none: the loopback device works, and the host's abstract sockets can't be reached",
  async (sandbox) => {
    const listening = `import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind("\\0${sandbox.tag}")
server.listen()
print("listening", flush=True)
sys.stdin.read()`;
    const server = spawn("python3", ["-c", listening], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(server, "exit");
    sandbox.atEnd(async () => {
      server.stdin.end();
      await ended;
    });
    await once(server.stdout, "data");
    const script = `python3 - <<'END'
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
print("loopback")
try:
    socket.socket(socket.AF_UNIX).connect("\\0${sandbox.tag}")
    print("connected")
except OSError as error:
    print(type(error).__name__)
END`;
    expect(await linesOf(sandbox, [], script)).toEqual(["loopback", "ConnectionRefusedError"]);
    expect((await linesOf(sandbox, ["--net", "host"], script)).at(-1)).toBe("connected");
  },
);

asBoth("--hostname: is set; without it, it is localhost", async (sandbox) => {
  expect(await linesOf(sandbox, [], "hostname")).toEqual(["localhost"]);
  expect(await linesOf(sandbox, ["--hostname", "box"], "hostname")).toEqual(["box"]);
});

spec(
  "sandbox of a directory that is a symbolic link: is the directory that it leads to, at the link's path",
  CLAUSE,
  async (sandbox) => {
    const data = sandbox.path("data");
    mkdirSync(data);
    writeFileSync(join(data, "file"), "data\n");
    symlinkSync(data, join(workDirectory(sandbox), "link"));
    symlinkSync("/etc", join(workDirectory(sandbox), "system"));
    const link = sandbox.path("link");
    symlinkSync(data, link);
    expect(await linesOf(sandbox, ["--ro", link], `cat ${link}/file`)).toEqual(["data"]);
    const { code, stderr } = await runSandbox(sandbox, ["--rw", "system", "--", "true"]);
    expect([code, stderr]).toEqual([125, expect.stringContaining("--rw system: it is the host's own")]);
  },
  ONLY_RUNTS,
);

asBoth("--landlock: rights as those of the mounts; no TCP without a network", async (sandbox) => {
  const tcp = `python3 -c 'import socket; socket.create_server(("127.0.0.1", 0)); print("bound")' 2>/dev/null || echo denied`;
  const script = `cat source; echo x > ~/x; echo x > new && echo written; ls / > /dev/null && ${tcp}`;
  const own = await linesOf(sandbox, ["--landlock", "--rw", "."], script);
  expect(own).toEqual(["text", "written", "denied"]);
  expect(await linesOf(sandbox, ["--landlock", "--net", "host"], tcp)).toEqual(["bound"]);
  const { stdout } = await runSandbox(sandbox, ["--landlock", "--print-config", "--", "true"]);
  expect(stdout).toContain("run.runts.landlock");
});
