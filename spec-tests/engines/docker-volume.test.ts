import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { dockerTests, IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";

const check = dockerTests();

check("run --volume, a folder, a file, read-only: mounted", async (docker) => {
  const folder = join(docker.directory, "folder");
  mkdirSync(folder);
  writeFileSync(join(folder, "file"), "from the host\n");
  const flags = [
    "--volume",
    `${folder}:/a`,
    "--volume",
    `${folder}:/b:ro`,
    "--volume",
    `${folder}/file:/etc/motd:ro`,
  ];
  const script = "cat /a/file /b/file /etc/motd; echo made > /a/made; touch /b/x; touch /etc/motd";
  const { stdout, stderr } = await docker.call("run", "--rm", ...flags, IMAGE, "sh", "-c", script);
  expect(stdout).toBe("from the host\n".repeat(3));
  expect(lines(stderr)).toHaveLength(2);
  expect(stderr).toMatch(/Read-only file system/);
  expect(readFileSync(join(folder, "made"), "utf8")).toBe("made\n");
});

check(
  "volume create, run --volume, --volumes-from: volumes persist, are shared, and are filled from the image",
  async (docker) => {
    await docker.call("volume", "create", "kept");
    const run = (...args: string[]) => docker.call("run", "--rm", ...args);
    expect((await run("--volume", "kept:/etc", IMAGE, "cat", "/etc/group")).stdout).toMatch(/^root:x:0:/);
    await run("--volume", "kept:/data", IMAGE, "sh", "-c", "echo kept > /data/file");
    expect((await run("--volume", "kept:/data", IMAGE, "cat", "/data/file")).stdout).toBe("kept\n");
    await docker.call("create", "--name", "holder", "--volume", "kept:/data", IMAGE);
    expect(
      (await run("--volumes-from", "holder:ro", IMAGE, "sh", "-c", "cat /data/file; touch /data/x")).stderr,
    ).toMatch(/Read-only/);
    await docker.call("rm", "holder");
    expect((await docker.call("volume", "rm", "kept")).code).toBe(0);
  },
);

check("run --mount type=volume with volume-subpath: mounts that folder of the volume", async (docker) => {
  await docker.call("volume", "create", "whole");
  await docker.call(
    "run",
    "--rm",
    "--volume",
    "whole:/data",
    IMAGE,
    "sh",
    "-c",
    "mkdir /data/part; echo part > /data/part/file",
  );
  const mount = "type=volume,source=whole,destination=/mnt,volume-subpath=part";
  expect((await docker.call("run", "--rm", "--mount", mount, IMAGE, "cat", "/mnt/file")).stdout).toBe(
    "part\n",
  );
  await docker.call("volume", "rm", "whole");
});

check(
  "run --mount with bind-propagation=rslave, rprivate, rshared: later mounts propagate accordingly",
  async (docker) => {
    const folder = join(docker.directory, "propagated");
    mkdirSync(join(folder, "inner"), { recursive: true });
    await docker.beside("mount", "--bind", folder, folder);
    const started = [];
    for (const kind of ["rslave", "rprivate", "rshared"]) {
      const mount = `type=bind,source=${folder},destination=/mnt,bind-propagation=${kind}`;
      started.push(
        await docker.call(
          "run",
          "--detach",
          "--privileged",
          "--name",
          kind,
          "--mount",
          mount,
          IMAGE,
          "sleep",
          "1000",
        ),
      );
    }
    expect(started.map(({ code }) => code)).toEqual([0, 0, 0]);
    await docker.beside("mount", "-t", "tmpfs", "later", join(folder, "inner"));
    const sees = async (name: string) =>
      (await docker.call("exec", name, "grep", "-c", " /mnt/inner ", "/proc/self/mountinfo")).stdout.trim();
    expect([await sees("rslave"), await sees("rprivate"), await sees("rshared")]).toEqual(["1", "0", "1"]);
    await docker.call("exec", "rshared", "umount", "/mnt/inner");
    expect((await docker.beside("grep", "-c", `${folder}/inner `, "/proc/self/mountinfo")).stdout).toBe(
      "0\n",
    );
    await docker.call("rm", "--force", "rslave", "rprivate", "rshared");
    await docker.beside("umount", folder);
  },
);

check(
  "run --mount readonly: submounts are read-only, too, except with bind-recursive=writable",
  async (docker) => {
    const folder = join(docker.directory, "outer");
    mkdirSync(join(folder, "inner"), { recursive: true });
    await docker.beside("mount", "-t", "tmpfs", "inner", join(folder, "inner"));
    const write = async (...words: string[]) => {
      const mount = ["type=bind", `source=${folder}`, "destination=/mnt", "readonly", ...words].join(",");
      return (
        await docker.call(
          "run",
          "--rm",
          "--mount",
          mount,
          IMAGE,
          "sh",
          "-c",
          "touch /mnt/x; touch /mnt/inner/x",
        )
      ).stderr;
    };
    expect(await write()).toMatch(/\/mnt\/x: Read-only.*\n.*\/mnt\/inner\/x: Read-only/);
    expect(await write("bind-recursive=readonly", "bind-propagation=rprivate")).toMatch(
      /\/mnt\/inner\/x: Read-only/,
    );
    expect(await write("bind-recursive=writable")).not.toMatch(/\/mnt\/inner\/x: Read-only/);
    // Without the submount, this is a folder of the read-only file system.
    expect(await write("bind-recursive=disabled")).toMatch(/\/mnt\/inner\/x: Read-only/);
    await docker.beside("umount", join(folder, "inner"));
  },
);

check("run --mount type=tmpfs: has that size and mode", async (docker) => {
  const mount = "type=tmpfs,destination=/scratch,tmpfs-size=65536,tmpfs-mode=0700";
  const script = "stat -c %a /scratch; grep -o 'size=64k' /proc/self/mountinfo";
  expect((await docker.call("run", "--rm", "--mount", mount, IMAGE, "sh", "-c", script)).stdout).toBe(
    "700\nsize=64k\n",
  );
});

check("run --mount type=bind, missing source: error with the reason", async (docker) => {
  const { code, stderr } = await docker.call(
    "run",
    "--rm",
    "--mount",
    "type=bind,source=/no/such,destination=/mnt",
    IMAGE,
    "true",
  );
  expect(code).toBe(125);
  expect(stderr).toContain("bind source path does not exist: /no/such");
});
