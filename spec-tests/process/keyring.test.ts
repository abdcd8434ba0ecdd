import { expect } from "vitest";
import { spec } from "../harness/spec.ts";

const CLAUSE = "keyrings(7); practice of runc and crun";
/** Session keyrings that the process may see. */
const SHOW = "grep ' keyring ' /proc/keys | sed 's/.* keyring  *//; s/:.*//' | sort";

spec("run: a session keyring of its own, named after the id", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(SHOW, (config) => {
    config.linux.maskedPaths = [];
  });
  expect(await container.output()).toContain(container.id);
});

spec("run as another user: it can use its session keyring", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(SHOW, (config) => {
    config.linux.maskedPaths = [];
    config.process.user = { uid: 1000, gid: 1000 };
  });
  expect(await container.output()).toContain(container.id);
});

spec("run --no-new-keyring: no session keyring of its own", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(SHOW, (config) => {
    config.linux.maskedPaths = [];
  });
  expect((await container.run({ flags: ["--no-new-keyring"] })).stdout).not.toContain(container.id);
});
