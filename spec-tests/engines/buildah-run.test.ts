import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Buildah, buildahTests, IMAGE } from "../harness/engines/buildah.ts";
import type { Result } from "../harness/runtime.ts";

const everyday = buildahTests();

/** Makes a working container for `body`, and removes it afterwards. */
async function inContainer(
  engine: Buildah,
  from: readonly string[],
  body: (run: (flags: readonly string[], ...command: readonly string[]) => Promise<Result>) => Promise<void>,
): Promise<void> {
  await engine.succeed("from", "--name", "work", ...from);
  await body((flags, ...command) => engine.run(flags, "work", ...command));
  await engine.succeed("rm", "work");
}

everyday("run: output, errors and exit code", async (engine) => {
  await inContainer(engine, [IMAGE], async (run) => {
    expect(await run([], "echo", "hello")).toEqual({ code: 0, stdout: "hello\n", stderr: "" });
    const result = await run([], "sh", "-c", "echo out; echo err >&2; exit 42");
    expect(result).toMatchObject({ code: 42, stdout: "out\n", stderr: expect.stringMatching(/^err\n/) });
  });
});

everyday("run, command not found: fails with the runtime's reason", async (engine) => {
  await inContainer(engine, [IMAGE], async (run) => {
    const result = await run([], "no-such-command");
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(/no-such-command.*not found/);
  });
});

everyday("run: files that it writes stay in the working container", async (engine) => {
  await inContainer(engine, [IMAGE], async (run) => {
    await run([], "sh", "-c", "echo kept > /var/x");
    expect((await run([], "cat", "/var/x")).stdout).toBe("kept\n");
  });
});

everyday("run --terminal: a terminal as stdio", async (engine) => {
  await inContainer(engine, [IMAGE], async () => {
    const words = engine.runWords(["--terminal"], "work", "sh", "-c", "[ -t 0 ] && tty; exit 3");
    const { code, stdout } = await engine.onTerminal(...words);
    expect({ code, first: stdout.split(/\r?\n/)[0] }).toEqual({ code: 3, first: "/dev/pts/0" });
  });
});

everyday("run --user, --env, --workingdir, --hostname: applied", async (engine) => {
  await inContainer(engine, [IMAGE], async (run) => {
    const flags = ["--user", "alice", "--env", "A=b c", "--workingdir", "/var", "--hostname", "myhost"];
    const { stdout } = await run(flags, "sh", "-c", 'id -u; id -g; echo "$A"; pwd; hostname');
    expect(stdout).toBe("1000\n1000\nb c\n/var\nmyhost\n");
  });
});

everyday("config: sets environment, user and working directory of later runs", async (engine) => {
  await inContainer(engine, [IMAGE], async (run) => {
    await engine.succeed("config", "--env", "B=c", "--user", "1000:1000", "--workingdir", "/tmp", "work");
    expect((await run([], "sh", "-c", "echo $B; id -u; pwd")).stdout).toBe("c\n1000\n/tmp\n");
  });
});

everyday("run --cap-add, --cap-drop: applied", async (engine) => {
  await inContainer(engine, [IMAGE], async (run) => {
    const caps = async (...flags: string[]): Promise<bigint> => {
      const { stdout } = await run(flags, "grep", "CapEff", "/proc/self/status");
      return BigInt(`0x${stdout.trim().split("\t")[1]}`);
    };
    expect((await caps("--cap-add", "CAP_NET_ADMIN")) & (1n << 12n)).not.toBe(0n);
    expect((await caps("--cap-drop", "CAP_CHOWN")) & 1n).toBe(0n);
    expect((await caps()) & 1n).toBe(1n);
  });
});

everyday("run --volume and --mount: bind, read-only and tmpfs mounts work", async (engine) => {
  const folder = join(engine.directory, "volume");
  mkdirSync(folder);
  engine.write("volume/in", "from the host\n");
  await inContainer(engine, [IMAGE], async (run) => {
    const script = "cat /mnt/in; echo back > /mnt/out";
    expect((await run(["--volume", `${folder}:/mnt`], "sh", "-c", script)).stdout).toBe("from the host\n");
    expect(readFileSync(join(folder, "out"), "utf8")).toBe("back\n");
    const mounts = ["--mount", `type=bind,source=${folder},destination=/mnt,ro`];
    const readOnly = await run(
      [...mounts, "--mount", "type=tmpfs,destination=/scratch"],
      "sh",
      "-c",
      "touch /scratch/x && echo tmp; touch /mnt/x",
    );
    expect(readOnly).toMatchObject({ code: 1, stdout: "tmp\n" });
    expect(readOnly.stderr).toMatch(/Read-only file system/);
  });
});

everyday("run --isolation oci: the same output as with chroot, in namespaces of its own", async (engine) => {
  await inContainer(engine, [IMAGE], async (run) => {
    const show = ["sh", "-c", "for n in pid uts ipc; do readlink /proc/self/ns/$n; done; cat /etc/passwd"];
    const oci = (await run([], ...show)).stdout.split("\n");
    const chroot = await engine.call("run", "--isolation", "chroot", "work", ...show);
    const lines = chroot.stdout.split("\n");
    expect(oci.slice(3)).toEqual(lines.slice(3));
    expect(oci).toContain("root:x:0:0:root:/root:/bin/sh");
    expect(oci[0]).not.toBe(lines[0]);
  });
});

everyday("run with and without the default seccomp profile: a filter only with it", async (engine) => {
  const show = ["grep", "^Seccomp:", "/proc/self/status"];
  await inContainer(engine, [IMAGE], async (run) => {
    expect((await run([], ...show)).stdout).toBe("Seccomp:\t2\n");
  });
  await inContainer(engine, ["--security-opt", "seccomp=unconfined", IMAGE], async (run) => {
    expect((await run([], ...show)).stdout).toBe("Seccomp:\t0\n");
  });
});

everyday("from --userns-uid-map: runs in a user namespace", async (engine) => {
  const map = ["--userns-uid-map", "0:100000:65536", "--userns-gid-map", "0:100000:65536"];
  await inContainer(engine, [...map, IMAGE], async (run) => {
    const { stdout } = await run(
      [],
      "sh",
      "-c",
      "id -u; cat /proc/self/uid_map; touch /new; stat -c %u /new",
    );
    expect(stdout.trim().split(/\s+/)).toEqual(["0", "0", "100000", "65536", "0"]);
  });
});

everyday("from --ulimit, --shm-size: applied", async (engine) => {
  await inContainer(engine, ["--ulimit", "nofile=333:444", "--shm-size", "1m", IMAGE], async (run) => {
    const { stdout } = await run([], "sh", "-c", "ulimit -Sn; ulimit -Hn; grep ' /dev/shm ' /proc/mounts");
    expect(stdout).toMatch(/^333\n444\n.*size=1024k/);
  });
});
