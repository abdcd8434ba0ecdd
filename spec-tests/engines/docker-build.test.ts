import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Docker, dockerTests, IMAGE } from "../harness/engines/docker.ts";
import type { Result } from "../harness/runtime.ts";

const check = dockerTests();

let builds = 0;

/** Builds an image from a Dockerfile and the files beside it. BuildKit needs docker-buildx, and a program "runc" in the daemon's PATH. */
async function build(
  docker: Docker,
  builder: "classic" | "BuildKit",
  dockerfile: readonly string[],
  flags: readonly string[] = [],
  files: Readonly<Record<string, string>> = {},
): Promise<Result> {
  const folder = join(docker.directory, `build-${++builds}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries({ Dockerfile: dockerfile.join("\n"), ...files }))
    writeFileSync(join(folder, name), text);
  const env = { DOCKER_BUILDKIT: builder === "classic" ? "0" : "1", BUILDKIT_PROGRESS: "plain" };
  return docker.client(["build", "--force-rm", "--tag", "built", ...flags, folder], {
    env,
    timeoutMs: 100_000,
  });
}

for (const builder of ["classic", "BuildKit"] as const) {
  check(`build, ${builder}: RUN, COPY, ENV, ARG, USER, WORKDIR, ENTRYPOINT`, async (docker) => {
    const dockerfile = [
      `FROM ${IMAGE}`,
      "ARG NAME=nobody",
      "ENV GREETING=hello",
      "WORKDIR /work",
      "COPY file copied",
      'RUN echo "$GREETING $NAME" > made && id -u >> made && mkdir own && chown alice own',
      "USER alice",
      "RUN id -u > own/user",
      'ENTRYPOINT ["cat"]',
      'CMD ["made", "copied", "own/user"]',
    ];
    const built = await build(docker, builder, dockerfile, ["--build-arg", "NAME=you"], {
      file: "from beside\n",
    });
    expect(built.code, built.stderr).toBe(0);
    expect((await docker.call("run", "--rm", "built")).stdout).toBe("hello you\n0\nfrom beside\n1000\n");
    await docker.call("rmi", "built");
  });

  check(
    `build, ${builder}, a RUN fails or its command does not exist: its exit code, and no image`,
    async (docker) => {
      const failed = await build(docker, builder, [`FROM ${IMAGE}`, "RUN echo before; exit 42"]);
      expect(failed.code).not.toBe(0);
      expect(failed.stdout + failed.stderr).toMatch(/before[\s\S]*(returned a non-zero code|exit code): 42/);
      const missing = await build(docker, builder, [`FROM ${IMAGE}`, 'RUN ["no-such-command"]']);
      expect(missing.code).not.toBe(0);
      expect(missing.stdout + missing.stderr).toMatch(/no-such-command.*executable file not found in \$PATH/);
      expect((await docker.call("image", "inspect", "built")).code).not.toBe(0);
    },
  );

  check(
    `build, ${builder}, several stages and --network none: RUN sees only its stage, and only loopback`,
    async (docker) => {
      const dockerfile = [
        `FROM ${IMAGE} AS first`,
        "RUN ip -o link | wc -l > /links && echo secret > /left-behind",
        `FROM ${IMAGE}`,
        "COPY --from=first /links /links",
        "RUN ls /left-behind 2>&1 | grep -c 'No such' >> /links",
        'CMD ["cat", "/links"]',
      ];
      const built = await build(docker, builder, dockerfile, ["--network", "none"]);
      expect(built.code, built.stderr).toBe(0);
      expect((await docker.call("run", "--rm", "built")).stdout).toBe("1\n1\n");
      await docker.call("rmi", "built");
    },
  );
}

check(
  "build, BuildKit, RUN with cache, secret, tmpfs and bind mounts, and a here-document: works",
  async (docker) => {
    const secret = join(docker.directory, "secret");
    writeFileSync(secret, "a secret\n");
    const dockerfile = [
      `FROM ${IMAGE}`,
      "RUN --mount=type=cache,target=/cache echo cached > /cache/file",
      "RUN --mount=type=cache,target=/cache --mount=type=secret,id=word --mount=type=bind,target=/beside --mount=type=tmpfs,target=/scratch <<EOF",
      "set -e",
      "cat /cache/file /run/secrets/word /beside/file > /all",
      "touch /scratch/x",
      "grep -c ' /scratch ' /proc/self/mountinfo >> /all",
      "EOF",
      'CMD ["sh", "-c", "cat /all; ls /run/secrets /cache 2>/dev/null"]',
    ];
    const built = await build(docker, "BuildKit", dockerfile, ["--secret", `id=word,src=${secret}`], {
      file: "beside\n",
    });
    expect(built.code, built.stderr).toBe(0);
    expect((await docker.call("run", "--rm", "built")).stdout).toMatch(/^cached\na secret\nbeside\n1\n/);
    await docker.call("rmi", "built");
  },
);

check("build with HEALTHCHECK and VOLUME: applied in containers of the image", async (docker) => {
  const dockerfile = [
    `FROM ${IMAGE}`,
    "RUN mkdir /data && echo from the image > /data/file",
    "VOLUME /data",
    "HEALTHCHECK --interval=500ms CMD test -s /data/file",
    'CMD ["sleep", "1000"]',
  ];
  const built = await build(docker, "classic", dockerfile);
  expect(built.code, built.stderr).toBe(0);
  expect((await docker.call("run", "--detach", "--name", "it", "built")).code).toBe(0);
  const health = async () =>
    (await docker.call("inspect", "--format", "{{.State.Health.Status}}", "it")).stdout;
  await expect.poll(health, { timeout: 20_000, interval: 200 }).toBe("healthy\n");
  await docker.call("rm", "--force", "--volumes", "it");
  await docker.call("rmi", "built");
});
