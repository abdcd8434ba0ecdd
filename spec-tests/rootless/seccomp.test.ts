import { chmodSync } from "node:fs";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { openSeccompAgent, type SeccompAgent } from "../harness/helpers/seccomp-agent.ts";
import { rootlessShell } from "../harness/host/user.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "config-linux.md, Seccomp";

/** The runtime fetches the listener while the process makes it, so a single round may succeed by chance. */
const ROUNDS = 20;
/** The agent allows this call. */
const CALL = "mkdir /tmp/allowed && rmdir /tmp/allowed";

async function openAgent(sandbox: Sandbox): Promise<SeccompAgent> {
  const agent = await openSeccompAgent(sandbox);
  chmodSync(agent.socket, 0o777);
  return agent;
}

function notifying({ socket }: SeccompAgent): (config: Config) => void {
  return (config) => {
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: [process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"],
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }],
      listenerPath: socket,
    };
  };
}

function answers(agent: SeccompAgent): number {
  return agent.records.filter(({ call }) => call !== undefined).length;
}

spec(
  `rootless start with a notify rule and ${ROUNDS} startContainer hooks: the agent answers the calls of each`,
  `${CLAUSE}; config.md, StartContainer hooks`,
  async (sandbox) => {
    const agent = await openAgent(sandbox);
    const container = rootlessShell(sandbox, `${CALL}; echo end`, (config) => {
      notifying(agent)(config);
      const hook = { path: "/bin/sh", args: ["sh", "-c", CALL], env: ["PATH=/bin"] };
      config.hooks = { startContainer: Array(ROUNDS).fill(hook) };
    });
    expect(await container.output()).toBe("end\n");
    expect(answers(agent)).toBe(ROUNDS + 1);
  },
);

spec(
  `rootless exec with a notify rule, ${ROUNDS} times: the agent answers the calls of each`,
  CLAUSE,
  async (sandbox) => {
    const agent = await openAgent(sandbox);
    const container = rootlessShell(sandbox, "exec sleep 1000", notifying(agent));
    await container.started();
    for (let round = 0; round < ROUNDS; round++)
      expect(await container.exec(["sh", "-c", `${CALL} && echo ran`])).toMatchObject({ stdout: "ran\n" });
    expect(answers(agent)).toBe(ROUNDS);
  },
  { runc: "may not take the listener of a process of exec (pidfd_getfd: EPERM)" },
);
