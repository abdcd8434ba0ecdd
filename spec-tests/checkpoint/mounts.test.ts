import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Mount } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import {
  checkpoint,
  countAbove,
  counting,
  criuSpec,
  imagesIn,
  restore,
  saveAndRestore,
  startedShell,
  succeeded,
} from "../harness/helpers/checkpoint.ts";
import { expectRefusal } from "../harness/refusal.ts";
import type { Sandbox } from "../harness/sandbox.ts";

const CLAUSE = "practice of runc";

/** All mounts of the container, without the numbers, which differ each time: proc_pid_mountinfo(5). */
async function mountsOf(container: Container): Promise<string[]> {
  const { pid } = await container.state();
  return readFileSync(`/proc/${pid}/mountinfo`, "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const [left = "", right = ""] = line.split(" - ");
      const [, , , root, point, options] = left.split(" ");
      const [type, , superOptions] = right.split(" ");
      return [point, root, options, type, superOptions].join(" ");
    })
    .sort();
}

criuSpec("restore: the container has the same mounts and flags as before", CLAUSE, async (sandbox) => {
  const container = await counting(sandbox, (config) => {
    config.mounts.push({
      destination: "/mnt",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "size=1m"],
    });
  });
  await countAbove(container, 1);
  const before = await mountsOf(container);
  await saveAndRestore(sandbox, container);
  expect(await mountsOf(container)).toEqual(before);
});

criuSpec(
  "restore: masked and read-only paths in /proc and /sys still are",
  "config-linux.md, Masked Paths",
  async (sandbox) => {
    const container = await counting(sandbox);
    await countAbove(container, 1);
    await saveAndRestore(sandbox, container);
    const script =
      "wc -c </proc/keys; ls /sys/firmware /proc/scsi | grep -v :; echo 1 >/proc/sys/kernel/panic; echo $?";
    const { stdout } = await container.exec(["sh", "-c", script]);
    expect(stdout).toMatch(/^0\n+1\n$/);
  },
);

criuSpec("restore: the files of a tmpfs are restored", CLAUSE, async (sandbox) => {
  const container = await counting(sandbox, (config) => {
    config.mounts.push({ destination: "/mnt", type: "tmpfs", source: "tmpfs" });
  });
  await container.exec(["sh", "-c", "echo kept >/mnt/file; echo shared >/dev/shm/file"]);
  await saveAndRestore(sandbox, container);
  expect((await container.exec(["cat", "/mnt/file", "/dev/shm/file"])).stdout).toBe("kept\nshared\n");
});

/** Bind mounts as engines make them: a directory, a file, and one inside another. */
function binds(sandbox: Sandbox): Mount[] {
  const [directory, file] = [sandbox.path("volume"), sandbox.path("resolv.conf")];
  mkdirSync(`${directory}/below`, { recursive: true });
  writeFileSync(`${directory}/file`, "of the volume");
  writeFileSync(file, "of the host");
  const options = ["bind", "rprivate"];
  return [
    { destination: "/mnt", type: "bind", source: directory, options: ["rbind", "rprivate"] },
    { destination: "/mnt/deep/new", type: "bind", source: directory, options: [...options, "ro"] },
    { destination: "/etc/resolv.conf", type: "bind", source: file, options: [...options, "ro"] },
    { destination: "/data", type: "bind", source: directory, options: [...options, "nosuid", "nodev"] },
  ];
}

criuSpec(
  "restore, bind mounts: the same sources are mounted again at the same destinations",
  CLAUSE,
  async (sandbox) => {
    const mounts = binds(sandbox);
    const counted = await counting(sandbox, (config) => {
      config.mounts.push(...mounts);
    });
    await countAbove(counted, 1);
    const before = await mountsOf(counted);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, counted, images), images, "dump.log");
    // In a freshly unpacked image, the mount points are missing.
    rmdirSync(`${counted.rootfs}/data`);
    rmSync(`${counted.rootfs}/etc/resolv.conf`);
    rmSync(`${sandbox.path("volume")}/deep`, { recursive: true });
    succeeded(await restore(sandbox, counted, images), images, "restore.log");
    expect(await mountsOf(counted)).toEqual(before);
    const { stdout } = await counted.exec(["cat", "/mnt/file", "/etc/resolv.conf", "/mnt/deep/new/file"]);
    expect(stdout).toBe("of the volumeof the hostof the volume");
    expect((await counted.exec(["touch", "/mnt/deep/new/more"])).code).not.toBe(0);
    await counted.exec(["touch", "/mnt/made"]);
    expect(existsSync(`${sandbox.path("volume")}/made`)).toBe(true);
  },
);

criuSpec(
  "restore, a bind mount on a link of the image: mounted on the link's target",
  CLAUSE,
  async (sandbox) => {
    const source = sandbox.path("resolv.conf");
    writeFileSync(source, "of the host");
    const container = sandbox.shell("while :; do sleep 0.05; done", (config) => {
      config.root.readonly = false;
      config.mounts.push({
        destination: "/etc/resolv.conf",
        type: "bind",
        source,
        options: ["bind", "rprivate"],
      });
    });
    symlinkSync("/run/resolve/stub.conf", `${container.rootfs}/etc/resolv.conf`);
    await container.started({ stdout: "/dev/null", wrapper: ["sh", "-c", 'exec "$@" 2>/dev/null', "sh"] });
    await saveAndRestore(sandbox, container);
    expect((await container.exec(["cat", "/run/resolve/stub.conf"])).stdout).toBe("of the host");
  },
);

/** A host folder that is a mount point, with another mount below it. */
function tree(sandbox: Sandbox): string {
  const folder = sandbox.path("tree");
  sandbox.atEnd(() => void execFileSync("umount", ["-R", folder]));
  for (const path of [folder, `${folder}/sub`]) {
    mkdirSync(path, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", path]);
    writeFileSync(`${path}/file`, path.endsWith("sub") ? "inner" : "outer");
  }
  return folder;
}

criuSpec(
  "restore, a recursive bind mount of a tree of mounts: the whole tree is mounted",
  "promise",
  async (sandbox) => {
    const source = tree(sandbox);
    const container = await counting(sandbox, (config) => {
      config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["rbind", "rprivate"] });
    });
    const reached = await countAbove(container, 3);
    await saveAndRestore(sandbox, container);
    await countAbove(container, reached);
    expect((await container.exec(["cat", "/mnt/file", "/mnt/sub/file"])).stdout).toBe("outerinner");
  },
);

criuSpec(
  "restore, open files on a bind mount: the program writes on where it was",
  CLAUSE,
  async (sandbox) => {
    const source = sandbox.path("volume");
    mkdirSync(source);
    const script = "exec 3>/mnt/log; i=0; while :; do i=$((i+1)); echo $i >&3; sleep 0.02; done";
    const container = await startedShell(sandbox, script, (config) => {
      config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["bind", "rprivate"] });
    });
    const log = () => readFileSync(`${source}/log`, "utf8").split("\n").filter(Boolean).map(Number);
    await expect.poll(() => log().length).toBeGreaterThan(3);
    await saveAndRestore(sandbox, container);
    const saved = log().length;
    await expect.poll(() => log().length).toBeGreaterThan(saved + 3);
    const all = log();
    expect(all).toEqual(all.map((_, index) => index + 1));
  },
);

criuSpec(
  "restore, the source of a bind mount is gone: error that names it, nothing left",
  CLAUSE,
  async (sandbox) => {
    const source = sandbox.path("volume");
    mkdirSync(source);
    const container = await counting(sandbox, (config) => {
      config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["bind", "rprivate"] });
    });
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    rmdirSync(source);
    expectRefusal(await restore(sandbox, container, images, [], {}), source);
    expect((await container.stateCommand()).stderr).toContain("does not exist");
    expect(await sandbox.traces()).toEqual([]);
  },
);
