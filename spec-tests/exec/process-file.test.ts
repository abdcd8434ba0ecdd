import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { type Config, DEFAULT_PATH } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { running } from "../harness/exec.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice of runc: what a process.json leaves out is as in the container";
const FACTS = "grep -E '^(Cap|NoNew)' /proc/self/status; cat /proc/self/oom_score_adj; ulimit -Sn";

function configure(config: Config): void {
  Object.assign(config.process, { oomScoreAdj: 77, noNewPrivileges: true });
  config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 111, hard: 222 }];
  const sets = ["CAP_KILL", "CAP_CHOWN"];
  config.process.capabilities = { bounding: sets, permitted: sets, effective: ["CAP_KILL"] };
}

/** What a process of a file with these properties says of itself. */
async function facts(sandbox: Sandbox, container: Container, properties: object): Promise<string[]> {
  const process = { args: ["sh", "-c", FACTS], cwd: "/", env: [DEFAULT_PATH], user: { uid: 0, gid: 0 } };
  const file = sandbox.path("process.json");
  writeFileSync(file, JSON.stringify({ ...process, ...properties }));
  const result = await container.exec([], { flags: ["--process", file] });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return result.stdout.split("\n");
}

/** Of the sets of the process once it has become root's program: capabilities(7). */
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
  { crun: "of what a process.json leaves out, only capabilities are the container's" },
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
    crun: "what the file says of oom_score_adj is the container's all the same",
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
