import { chownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { IMAGE, type Podman, podmanTests, run } from "../harness/engines/podman.ts";
import { baseRootfs, copyRootfs } from "../harness/rootfs.ts";

const everyday = podmanTests();

/** Runs a command that has to succeed. Returns its output. */
async function succeed(engine: Podman, ...args: string[]): Promise<string> {
  const result = await engine.call(...args);
  expect(result, args.join(" ")).toMatchObject({ code: 0 });
  return result.stdout;
}

async function withContainer(engine: Podman, body: () => Promise<void>): Promise<void> {
  await succeed(engine, "run", "--detach", "--name", "work", IMAGE, "sleep", "1000");
  try {
    await body();
  } finally {
    await succeed(engine, "rm", "--force", "--time", "0", "--volumes", "work");
  }
}

/** Lower limits for build: the test machines can't raise theirs to its defaults. */
const LIMITS = ["--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000"];

everyday("build with stages: RUN steps work, and make an image", async (engine) => {
  const file = join(engine.directory, "Containerfile");
  writeFileSync(
    file,
    `FROM ${IMAGE} AS builder
ARG WHO
RUN echo "made for $WHO by $(id -u)" > /made
FROM ${IMAGE}
COPY --from=builder /made /made
USER alice
WORKDIR /tmp
ENV A=b
RUN id -un > who && pwd >> who
ENTRYPOINT ["sh", "-c"]
CMD ["cat /made /tmp/who; echo $A"]
`,
  );
  const flags = ["--network", "none", "--build-arg", "WHO=you", "--tag", "built", "--file", file, ...LIMITS];
  await succeed(engine, "build", ...flags, engine.directory);
  expect((await run(engine, "built")).stdout).toBe("made for you by 0\nalice\n/tmp\nb\n");
  await succeed(engine, "rmi", "built");
});

everyday("build, a step fails: error that names its exit code", async (engine) => {
  const file = join(engine.directory, "Containerfile.fails");
  writeFileSync(file, `FROM ${IMAGE}\nRUN exit 7\n`);
  const result = await engine.call("build", "--network", "none", "--file", file, ...LIMITS, engine.directory);
  expect(result.code).toBe(7);
  expect(result.stderr).toMatch(/exit status 7/);
});

everyday("commit: files that the container wrote are in the image", async (engine) => {
  await withContainer(engine, async () => {
    await succeed(engine, "exec", "work", "sh", "-c", "echo kept > /var/kept");
    await succeed(engine, "commit", "--quiet", "--change", "CMD cat /var/kept", "work", "committed");
  });
  expect((await run(engine, "committed")).stdout).toBe("kept\n");
  await succeed(engine, "rmi", "committed");
});

everyday("cp, running and stopped container: copies in and out", async (engine) => {
  const path = join(engine.directory, "copied");
  writeFileSync(path, "copied\n");
  await withContainer(engine, async () => {
    await succeed(engine, "cp", path, "work:/var/in");
    expect(await succeed(engine, "exec", "work", "cat", "/var/in")).toBe("copied\n");
    await succeed(engine, "exec", "work", "sh", "-c", "echo out > /tmp/out");
    await succeed(engine, "stop", "--time", "0", "work");
    await succeed(engine, "cp", "work:/tmp/out", `${path}-out`);
    expect(readFileSync(`${path}-out`, "utf8")).toBe("out\n");
  });
});

everyday("diff: shows changes; export, import: keep the whole file system", async (engine) => {
  const archive = join(engine.directory, "exported.tar");
  await withContainer(engine, async () => {
    await succeed(engine, "exec", "work", "touch", "/var/changed");
    expect(await succeed(engine, "diff", "work")).toMatch(/^A \/var\/changed$/m);
    await succeed(engine, "export", "--output", archive, "work");
  });
  await succeed(engine, "import", "--quiet", archive, "imported");
  expect((await run(engine, "imported", "ls", "/var/changed")).stdout).toBe("/var/changed\n");
  await succeed(engine, "rmi", "imported");
});

everyday("save, load: the same image", async (engine) => {
  const archive = join(engine.directory, "saved.tar");
  await succeed(engine, "tag", IMAGE, "saved");
  await succeed(engine, "save", "--quiet", "--format", "oci-archive", "--output", archive, "localhost/saved");
  await succeed(engine, "untag", "localhost/saved", "localhost/saved");
  await succeed(engine, "load", "--quiet", "--input", archive);
  expect((await run(engine, "localhost/saved", "echo", "loaded")).stdout).toBe("loaded\n");
  await succeed(engine, "untag", "localhost/saved", "localhost/saved");
});

everyday("volume create, ls, rm, run --volume: the volume is filled from the image", async (engine) => {
  await succeed(engine, "volume", "create", "data");
  expect(await succeed(engine, "volume", "ls", "--quiet")).toBe("data\n");
  expect((await run(engine, "-v", "data:/etc", IMAGE, "cat", "/etc/group")).stdout).toMatch(/^root:x:0:/);
  await run(engine, "-v", "data:/data", IMAGE, "sh", "-c", "echo kept > /data/kept");
  expect((await run(engine, "-v", "data:/data:ro", IMAGE, "cat", "/data/kept")).stdout).toBe("kept\n");
  await succeed(engine, "volume", "rm", "data");
});

everyday("run --mount: bind, tmpfs, volume, image, devpts and ramfs work", async (engine) => {
  const folder = join(engine.directory, "mounted");
  mkdirSync(folder);
  writeFileSync(join(folder, "in"), "from the host\n");
  const mounts = [
    `type=bind,source=${folder},target=/bind,readonly`,
    "type=tmpfs,target=/tmpfs,tmpfs-size=1048576,tmpfs-mode=700",
    "type=volume,target=/volume",
    `type=image,source=${IMAGE},target=/image`,
    "type=devpts,target=/devpts",
    "type=ramfs,target=/ramfs",
  ].flatMap((mount) => ["--mount", mount]);
  const script = `cat /bind/in; touch /bind/x 2>&1; cat /image/etc/group | head -n 1; ls /devpts
    touch /volume/x && for m in bind tmpfs devpts ramfs; do grep " /$m " /proc/mounts | cut -d " " -f 3,4; done`;
  const { stdout, stderr } = await run(engine, ...mounts, IMAGE, "sh", "-c", script);
  expect(stderr).toBe("");
  const [first, second, third, fourth, bind, tmpfs, devpts, ramfs] = stdout.split("\n");
  expect([first, third, fourth]).toEqual(["from the host", "root:x:0:", "ptmx"]);
  expect(second).toMatch(/Read-only file system/);
  expect(bind).toMatch(/ ro\b/);
  expect(tmpfs).toMatch(/^tmpfs rw,.*size=1024k,mode=700/);
  expect(devpts).toMatch(/^devpts rw/);
  expect(ramfs).toMatch(/^ramfs rw/);
});

everyday("run --mount with no-dereference: copies a symbolic link of the host", async (engine) => {
  const link = join(engine.directory, "link");
  writeFileSync(join(engine.directory, "target"), "");
  symlinkSync("target", link);
  const mount = `type=bind,source=${link},target=/copied,no-dereference`;
  const { stdout, stderr } = await run(engine, "--mount", mount, IMAGE, "readlink", "/copied");
  expect(stderr).toBe("");
  expect(stdout).toBe("target\n");
});

everyday("run --volume with idmap, user namespace: files have the host's ids", async (engine) => {
  const folder = join(engine.directory, "idmap");
  mkdirSync(folder);
  writeFileSync(join(folder, "of-root"), "");
  chownSync(join(folder, "of-root"), 0, 0);
  const flags = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"];
  const show = ["stat", "-c", "%u:%g", "/mnt/of-root"];
  expect((await run(engine, ...flags, "-v", `${folder}:/mnt`, IMAGE, ...show)).stdout).toBe("65534:65534\n");
  expect((await run(engine, ...flags, "-v", `${folder}:/mnt:idmap`, IMAGE, ...show)).stdout).toBe("0:0\n");
});

everyday("run --volume with O: an overlay over the folder, which stays unchanged", async (engine) => {
  const folder = join(engine.directory, "overlay");
  mkdirSync(folder);
  writeFileSync(join(folder, "in"), "from the host\n");
  const script = "cat /mnt/in; echo changed > /mnt/in; cat /mnt/in";
  const { stdout } = await run(engine, "-v", `${folder}:/mnt:O`, IMAGE, "sh", "-c", script);
  expect(stdout).toBe("from the host\nchanged\n");
  expect(readFileSync(join(folder, "in"), "utf8")).toBe("from the host\n");
});

everyday("run --rootfs: runs from a folder instead of an image", async (engine) => {
  const folder = join(engine.directory, "rootfs");
  copyRootfs(baseRootfs(), folder);
  const { stdout, stderr } = await run(
    engine,
    "--rootfs",
    folder,
    "sh",
    "-c",
    "echo from a folder > /made; cat /made",
  );
  expect({ stdout, stderr }).toEqual({ stdout: "from a folder\n", stderr: "" });
  expect(readFileSync(join(folder, "made"), "utf8")).toBe("from a folder\n");
});

everyday("secret create, run --secret: a file or a variable has the secret", async (engine) => {
  const path = join(engine.directory, "secret");
  writeFileSync(path, "hidden");
  await succeed(engine, "secret", "create", "word", path);
  const flags = ["--secret", "word,uid=1000,mode=0400", "--secret", "word,type=env,target=WORD"];
  const { stdout } = await run(
    engine,
    ...flags,
    IMAGE,
    "sh",
    "-c",
    'stat -c "%u %a" /run/secrets/word; cat /run/secrets/word; echo " $WORD"',
  );
  expect(stdout).toBe("1000 400\nhidden hidden\n");
  await succeed(engine, "secret", "rm", "word");
});
