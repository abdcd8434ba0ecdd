import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { dockerTests, IMAGE } from "../harness/engines/docker.ts";
import { lines } from "../harness/engines/engine.ts";

/** Images and their layers are kept by containerd, which is the default for new installations from docker 29 on. */
const check = dockerTests(
  { settings: { features: { "containerd-snapshotter": true } } },
  "docker, image store of containerd:",
);

check("info: the snapshotter of containerd holds the layers", async (docker) => {
  const { stdout } = await docker.call("info", "--format", "{{json .DriverStatus}}");
  expect(JSON.parse(stdout)).toContainEqual(["driver-type", "io.containerd.snapshotter.v1"]);
});

check("run, exec, cp, diff, commit: work", async (docker) => {
  expect((await docker.call("run", "--detach", "--name", "it", IMAGE, "sleep", "1000")).code).toBe(0);
  const exec = (...words: readonly string[]) => docker.call("exec", "it", ...words);
  expect(await exec("sh", "-c", "echo made > /made; exit 5")).toEqual({ code: 5, stdout: "", stderr: "" });
  expect((await docker.call("cp", join(docker.directory, "daemon.json"), "it:/settings")).code).toBe(0);
  expect((await exec("head", "-c", "1", "/settings")).stdout).toBe("{");
  expect(lines((await docker.call("diff", "it")).stdout)).toEqual(
    expect.arrayContaining(["A /made", "A /settings"]),
  );
  expect((await docker.call("commit", "it", "changed")).code).toBe(0);
  await docker.call("rm", "--force", "it");
  expect((await docker.call("run", "--rm", "changed", "cat", "/made")).stdout).toBe("made\n");
  await docker.call("rmi", "changed");
});

check("build, BuildKit: RUN, USER and CMD; the image runs", async (docker) => {
  const folder = join(docker.directory, "built");
  mkdirSync(folder);
  const dockerfile = [
    `FROM ${IMAGE}`,
    "RUN echo built > /built && id -u >> /built",
    "USER 1000",
    "CMD cat /built; id -u",
  ];
  writeFileSync(join(folder, "Dockerfile"), dockerfile.join("\n"));
  const env = { DOCKER_BUILDKIT: "1", BUILDKIT_PROGRESS: "plain" };
  const built = await docker.client(["build", "--tag", "built", folder], { env, timeoutMs: 100_000 });
  expect(built.code, built.stderr).toBe(0);
  expect((await docker.call("run", "--rm", "built")).stdout).toBe("built\n0\n1000\n");
  await docker.call("rmi", "built");
});

check("save, load: the image runs again", async (docker) => {
  const archive = join(docker.directory, "saved.tar");
  expect((await docker.call("tag", IMAGE, "copy")).code).toBe(0);
  expect((await docker.call("save", "--output", archive, "copy")).code).toBe(0);
  await docker.call("rmi", "copy");
  expect((await docker.call("load", "--input", archive)).code).toBe(0);
  expect((await docker.call("run", "--rm", "copy", "echo", "loaded")).stdout).toBe("loaded\n");
  await docker.call("rmi", "copy");
});
