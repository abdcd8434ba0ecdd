import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Buildah, buildahTests, IMAGE } from "../harness/engines/buildah.ts";

const everyday = buildahTests();

/** The output of a command in a new container of an image. */
async function inside(engine: Buildah, image: string, ...command: string[]): Promise<string> {
  await engine.succeed("from", "--name", "check", image);
  const { stdout, stderr } = await engine.run([], "check", ...command);
  await engine.succeed("rm", "check");
  return stdout + stderr;
}

everyday("from scratch, copy, run, commit: an image with nothing but a copied program", async (engine) => {
  await engine.succeed("from", "--name", "scratch-work", "scratch");
  await engine.succeed("copy", "--quiet", "scratch-work", "/bin/busybox", "/busybox");
  const { stdout } = await engine.run([], "scratch-work", "/busybox", "echo", "from scratch");
  expect(stdout).toBe("from scratch\n");
  await engine.succeed("config", "--entrypoint", '["/busybox"]', "scratch-work");
  await engine.succeed("commit", "--quiet", "--rm", "scratch-work", "localhost/scratch");
  expect(await inside(engine, "localhost/scratch", "/busybox", "ls", "/")).toContain("busybox\n");
  await engine.succeed("rmi", "localhost/scratch");
});

everyday("copy --chown, add of an archive, run, commit: the changes are in the image", async (engine) => {
  engine.write("copied", "copied\n");
  await engine.succeed("from", "--name", "changed", IMAGE);
  await engine.succeed(
    "copy",
    "--quiet",
    "--chown",
    "1000:1000",
    "changed",
    join(engine.directory, "copied"),
    "/srv/",
  );
  await engine.run([], "changed", "sh", "-c", "echo run > /srv/run; chmod 600 /srv/run");
  await engine.succeed("commit", "--quiet", "--rm", "changed", "localhost/changed");
  const shown = await inside(
    engine,
    "localhost/changed",
    "stat",
    "-c",
    "%n %u %a",
    "/srv/copied",
    "/srv/run",
  );
  expect(shown).toBe("/srv/copied 1000 644\n/srv/run 0 600\n");
  await engine.succeed("rmi", "localhost/changed");
});

everyday("build with stages and arguments: RUN steps work", async (engine) => {
  const file = `ARG WHO=nobody
FROM ${IMAGE} AS builder
ARG WHO
WORKDIR /work
RUN echo "made for $WHO by $(id -u)" > made
USER alice
RUN id -un > /tmp/user
FROM ${IMAGE}
COPY --from=builder /work/made /tmp/user /result/
RUN ["cat", "/result/made"]
`;
  const built = await engine.build("localhost/built", file, "--build-arg", "WHO=you");
  expect(built, built.stderr).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("made for you by 0\n"),
  });
  expect(await inside(engine, "localhost/built", "cat", "/result/made", "/result/user")).toBe(
    "made for you by 0\nalice\n",
  );
  await engine.succeed("rmi", "localhost/built");
});

everyday("build, a RUN step fails: error that names its exit code", async (engine) => {
  const result = await engine.build("localhost/never", `FROM ${IMAGE}\nRUN exit 7\n`);
  expect(result.code).not.toBe(0);
  expect(result.stderr).toMatch(/exit status 7/);
  await engine.clear();
});

everyday("build with RUN --mount: secret, bind, cache and tmpfs work", async (engine) => {
  mkdirSync(join(engine.directory, "context"), { recursive: true });
  engine.write("context/file", "from the context\n");
  const secret = engine.write("secret", "hidden\n");
  const file = `FROM ${IMAGE}
RUN --mount=type=secret,id=word cat /run/secrets/word > /seen
RUN --mount=type=bind,source=context,target=/mnt cat /mnt/file >> /seen
RUN --mount=type=tmpfs,target=/scratch touch /scratch/x && grep -c ' /scratch ' /proc/mounts >> /seen
RUN --mount=type=cache,target=/cache touch /cache/x && ls /cache >> /seen
`;
  const built = await engine.build("localhost/mounted", file, "--secret", `id=word,src=${secret}`);
  expect(built, built.stderr).toMatchObject({ code: 0 });
  const shown = await inside(
    engine,
    "localhost/mounted",
    "sh",
    "-c",
    "cat /seen; ls /run/secrets /cache/x 2>&1",
  );
  expect(shown).toMatch(/^hidden\nfrom the context\n1\nx\n/);
  await engine.succeed("rmi", "localhost/mounted");
});

everyday("build --cap-add, --volume, --ulimit, --add-host: applied to RUN steps", async (engine) => {
  engine.write("given", "given\n");
  const file = `FROM ${IMAGE}
RUN grep CapEff /proc/self/status; cat /mnt/given; ulimit -n; grep other /etc/hosts
`;
  const flags = [
    "--cap-add",
    "CAP_NET_ADMIN",
    "--volume",
    `${engine.directory}:/mnt:ro`,
    "--ulimit",
    "nofile=222:222",
  ];
  const built = await engine.build("localhost/flags", file, ...flags, "--add-host", "other:10.1.2.3");
  expect(built, built.stderr).toMatchObject({ code: 0 });
  expect(BigInt(`0x${/CapEff:\t(\w+)/.exec(built.stdout)?.[1]}`) & (1n << 12n)).not.toBe(0n);
  expect(built.stdout).toMatch(/given\n222\n10\.1\.2\.3\s+other\n/);
  await engine.succeed("rmi", "localhost/flags");
});

everyday("build --network none and host: RUN steps get different network namespaces", async (engine) => {
  const file = `FROM ${IMAGE}\nRUN readlink /proc/self/ns/net\n`;
  const name = /net:\[\d+\]/;
  const none = name.exec(
    (await engine.build("localhost/net", file, "--no-cache", "--network", "none")).stdout,
  );
  const host = name.exec(
    (await engine.build("localhost/net", file, "--no-cache", "--network", "host")).stdout,
  );
  expect(none).not.toBeNull();
  expect(host).not.toBeNull();
  expect(none?.[0]).not.toBe(host?.[0]);
  await engine.succeed("rmi", "localhost/net");
});
