import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { dockerTests, IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";

const FIRST = 400_000;

/** The user that docker looks up in passwd and subuid, in files that only the daemon sees. */
const check = dockerTests({
  settings: { "userns-remap": "remapped:remapped" },
  etc: {
    passwd: "root:x:0:0:root:/root:/bin/sh\nremapped:x:1600:1600::/:/bin/sh\n",
    group: "root:x:0:\nremapped:x:1600:\n",
    subuid: `remapped:${FIRST}:65536\n`,
    subgid: `remapped:${FIRST}:65536\n`,
  },
});

check("run with userns-remap: root is an unprivileged user on the host", async (docker) => {
  const folder = join(docker.directory, "open");
  mkdirSync(folder, { mode: 0o777 });
  await docker.beside("chmod", "777", folder);
  const script = "id -u; cat /proc/self/uid_map; touch /mine /open/file; stat -c %u /mine";
  const { stdout, stderr } = await docker.call(
    "run",
    "--rm",
    "--volume",
    `${folder}:/open`,
    IMAGE,
    "sh",
    "-c",
    script,
  );
  expect(stderr).toBe("");
  expect(lines(stdout).map((line) => line.trim().replaceAll(/\s+/g, " "))).toEqual([
    "0",
    `0 ${FIRST} 65536`,
    "0",
  ]);
  expect(statSync(join(folder, "file")).uid).toBe(FIRST);
});

check(
  "run --user, --read-only, --tmpfs, --cap-add, --volume with userns-remap: applied; --publish: accepted",
  async (docker) => {
    const flags = [
      "--user",
      "alice",
      "--read-only",
      "--tmpfs",
      "/scratch",
      "--cap-add",
      "NET_ADMIN",
      "--volume",
      "/data",
      "--publish",
      "127.0.0.1:8081:80",
    ];
    const script =
      "id -u; touch /scratch/x && echo scratch; touch /x; grep -c ' /data ' /proc/mounts; grep CapBnd /proc/self/status; ip -o -4 addr show dev eth0 | wc -l";
    const { stdout, stderr } = await docker.call("run", "--rm", ...flags, IMAGE, "sh", "-c", script);
    // docker's default capabilities and NET_ADMIN, bit 12.
    expect(stdout).toBe("1000\nscratch\n1\nCapBnd:\t00000000a80435fb\n1\n");
    expect(stderr).toMatch(/^touch: \/x: Read-only file system\n$/);
  },
);

check("run -it with userns-remap: the container's user owns the terminal", async (docker) => {
  const { stdout } = await docker.onTerminal(
    "run",
    "--rm",
    "-it",
    IMAGE,
    "sh",
    "-c",
    "tty; stat -c %u $(tty); echo x > $(tty)",
  );
  expect(lines(stdout.replaceAll("\r", ""))).toEqual(["/dev/pts/0", "0", "x"]);
});

check("exec, cp, commit, pause with userns-remap: work", async (docker) => {
  expect((await docker.call("run", "--detach", "--name", "it", IMAGE, "sleep", "1000")).code).toBe(0);
  const exec = (...words: string[]) => docker.call("exec", "it", ...words);
  expect((await exec("sh", "-c", "id -u; awk '{print $2}' /proc/self/uid_map")).stdout).toBe(`0\n${FIRST}\n`);
  expect((await docker.call("exec", "--user", "alice", "it", "id", "-u")).stdout).toBe("1000\n");
  expect((await docker.call("cp", join(docker.directory, "daemon.json"), "it:/settings")).code).toBe(0);
  expect((await exec("sh", "-c", "head -c 1 /settings; echo made > /made")).stdout).toBe("{");
  expect((await docker.call("pause", "it")).code).toBe(0);
  expect((await docker.call("unpause", "it")).code).toBe(0);
  await docker.call("commit", "it", "changed");
  expect(
    (await docker.call("run", "--rm", "changed", "sh", "-c", "cat /made; stat -c %u /made")).stdout,
  ).toBe("made\n0\n");
  await docker.call("rm", "--force", "it");
  await docker.call("rmi", "changed");
});

check(
  "run --userns host with userns-remap: uses the host's ids; --privileged without it: refused",
  async (docker) => {
    const refused = await docker.call("run", "--rm", "--privileged", IMAGE, "true");
    expect(refused.code).toBe(125);
    expect(refused.stderr).toContain("privileged mode is incompatible with user namespaces");
    const { stdout, stderr } = await docker.call(
      "run",
      "--rm",
      "--privileged",
      "--userns",
      "host",
      IMAGE,
      "awk",
      "{print $2}",
      "/proc/self/uid_map",
    );
    expect(stdout + stderr).toBe("0\n");
  },
);
