import { expect } from "vitest";
import { withProject } from "../harness/engines/compose.ts";
import { dockerTests } from "../harness/engines/docker.ts";

const check = dockerTests({}, "compose");

check("up after a change: only the changed service is recreated", async (docker) => {
  const yaml = `services:
  one:
    image: $IMAGE
    command: sleep 1000
    stop_grace_period: 0s
  two:
    image: $IMAGE
    command: sleep 1000
    stop_grace_period: 0s
    environment: { WORD: "\${WORD:-before}" }`;
  await withProject(
    docker,
    yaml,
    async (compose) => {
      await compose.ok("up", "--detach");
      const ids = async () => [
        await compose.ok("ps", "--quiet", "one"),
        await compose.ok("ps", "--quiet", "two"),
      ];
      const [one, two] = await ids();
      await compose.ok("--env-file", "changed", "up", "--detach");
      const [oneAfter, twoAfter] = await ids();
      expect(oneAfter).toBe(one);
      expect(twoAfter).not.toBe(two);
      expect(await compose.ok("exec", "-T", "two", "sh", "-c", "echo $WORD")).toBe("after\n");
    },
    { changed: "WORD=after\n" },
  );
});

check("build and run: the service's image is built", async (docker) => {
  const yaml = `services:
  made:
    build: { context: ., args: { WORD: given } }
    image: made-here
    command: cat /made`;
  const files = { Dockerfile: "FROM spec-test\nARG WORD\nRUN echo $WORD > /made\n" };
  await withProject(
    docker,
    yaml,
    async (compose) => {
      await compose.ok("build");
      expect((await compose("run", "--rm", "-T", "made")).stdout).toBe("given\n");
      await docker.call("rmi", "made-here");
    },
    files,
  );
});
