import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { type Config, DEFAULT_PATH } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice of runc: the container's values stand for what a process.json leaves out";
const FACTS = "grep -E '^(Cap|NoNew)' /proc/self/status; cat /proc/self/oom_score_adj; ulimit -Sn";

function configure(config: Config): void {
  Object.assign(config.process, { oomScoreAdj: 77, noNewPrivileges: true });
  config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 111, hard: 222 }];
  const sets = ["CAP_KILL", "CAP_CHOWN"];
  config.process.capabilities = { bounding: sets, permitted: sets, effective: ["CAP_KILL"] };
}

/** Executes a process.json with these properties, and returns the attributes that the process prints. */
async function facts(sandbox: Sandbox, container: Container, properties: object): Promise<string[]> {
  const process = { args: ["sh", "-c", FACTS], cwd: "/", env: [DEFAULT_PATH], user: { uid: 0, gid: 0 } };
  const file = sandbox.path("process.json");
  writeFileSync(file, JSON.stringify({ ...process, ...properties }));
  const result = await container.exec([], { flags: ["--process", file] });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return result.stdout.split("\n");
}

/** The sets after root's execve, where permitted and effective become bounding: capabilities(7). */
const BOTH = "0000000000000021";
const NONE = "0000000000000000";

for (const [situation, properties] of [
  ["absent", {}],
  ["null, as Go writes it", { capabilities: null }],
] as const) {
  spec(`exec --process, capabilities ${situation}: those of the container`, CLAUSE, async (sandbox) => {
    const container = await running(sandbox, configure);
    const lines = await facts(sandbox, container, properties);
    expect(lines).toEqual(
      expect.arrayContaining([`CapBnd:\t${BOTH}`, `CapEff:\t${BOTH}`, `CapInh:\t${NONE}`]),
    );
  });
}

spec("exec --process, capabilities {}: none", CLAUSE, async (sandbox) => {
  const container = await running(sandbox, configure);
  const lines = await facts(sandbox, container, { capabilities: {} });
  expect(lines).toEqual(expect.arrayContaining([`CapBnd:\t${NONE}`, `CapPrm:\t${NONE}`, `CapEff:\t${NONE}`]));
});

spec(
  "exec --process, oomScoreAdj absent: that of the container",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, configure);
    expect(await facts(sandbox, container, {})).toContain("77");
  },
  { crun: "takes only capabilities from the container if process.json leaves them out" },
);

spec(
  "exec --process, oomScoreAdj 0: not that of the container",
  CLAUSE,
  async (sandbox) => {
    const container = await running(sandbox, configure);
    const lines = await facts(sandbox, container, { oomScoreAdj: 0 });
    expect(lines).toContain("0");
    expect(lines).not.toContain("77");
  },
  {
    crun: "uses the container's oom_score_adj, whatever the file says",
    runc: "exec always has the container's oom_score_adj",
  },
);

spec(
  "exec --process, noNewPrivileges and rlimits absent: not those of the container",
  "practice of runc and crun",
  async (sandbox) => {
    const container = await running(sandbox, configure);
    const lines = await facts(sandbox, container, {});
    expect(lines).toContain("NoNewPrivs:\t0");
    expect(lines).not.toContain("111");
  },
);
