import { readFileSync, statSync } from "node:fs";
import { expect } from "vitest";
import { writableCgroup } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import {
  allowing,
  annotated,
  CLAUSE,
  expectNothingMade,
  IGNORED,
  PROMISE,
  RECEIVER,
} from "../harness/helpers/crun-annotations.ts";
import { openSeccompAgent, type SeccompAgent } from "../harness/helpers/seccomp-agent.ts";
import { BASE, mappedShell } from "../harness/host/user-namespace.ts";
import { parseObject } from "../harness/json.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

/** The agent for seccomp, system calls that libseccomp does not know, and the cgroup below the container's own. */

const FAIL_UNKNOWN = "run.oci.seccomp_fail_unknown_syscall";
const DELEGATE = "run.oci.delegate-cgroup";
const NO_CHECK = "takes any path";

function notifying(annotations: Record<string, string>, listenerPath?: string) {
  return annotated(annotations, (config) => {
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: [process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"],
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }],
      ...(listenerPath !== undefined && { listenerPath }),
    };
    config.process.noNewPrivileges = true;
    config.root.readonly = false;
  });
}

/** The agent denies the first call, and allows the second. */
const SCRIPT = "mkdir /tmp/denied; mkdir /tmp/allowed && ls /tmp";

const answersOf = ({ records }: SeccompAgent) =>
  records.filter(({ call }) => call !== undefined).map(({ answer }) => answer);

spec(
  `create, start and exec, ${RECEIVER}: the agent gets the state, and answers the calls`,
  CLAUSE,
  async (sandbox) => {
    const agent = await openSeccompAgent(sandbox);
    const container = sandbox.shell(`${SCRIPT}; exec sleep 1000`, notifying({ [RECEIVER]: agent.socket }));
    await container.started(allowing(RECEIVER));
    await expect.poll(() => container.printed()).toBe("allowed");
    expect(answersOf(agent)).toEqual([95, 0]);
    const message = parseObject(String(agent.connections()[0]?.message));
    const { pid } = await container.state();
    expect(message).toMatchObject({ fds: ["seccompFd"], pid, state: { id: container.id, pid } });
    expect((await container.exec(["sh", "-c", "rmdir /tmp/allowed; mkdir /tmp/again"])).stderr).toMatch(
      /[Nn]ot supp/,
    );
    expect(answersOf(agent)).toEqual([95, 0, 95]);
  },
  { runc: IGNORED },
);

spec(`run, listenerPath and ${RECEIVER}: listenerPath counts`, CLAUSE, async (sandbox) => {
  const agent = await openSeccompAgent(sandbox);
  const container = sandbox.shell(SCRIPT, notifying({ [RECEIVER]: sandbox.path("other") }, agent.socket));
  expect((await container.run(allowing(RECEIVER))).stdout).toBe("allowed\n");
});

spec(`run, ${RECEIVER}, nobody listens: error that names it, nothing left`, CLAUSE, async (sandbox) => {
  const container = sandbox.shell("true", notifying({ [RECEIVER]: sandbox.path("nobody.sock") }));
  const result = await container.run(allowing(RECEIVER));
  expectRefusal(result, inOurWords(`/annotations/${RECEIVER}: find the seccomp agent's socket`));
  expect(await sandbox.traces()).toEqual([]);
});

function naming(names: string[], annotations: Record<string, string>) {
  return annotated(annotations, (config) => {
    config.linux.seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [
        { names: ["ptrace"], action: "SCMP_ACT_ERRNO" },
        { names, action: "SCMP_ACT_ERRNO" },
      ],
    };
  });
}

spec(
  `create, ${FAIL_UNKNOWN} 1, an unknown system call: error that names it, also when the filter is kept, nothing left`,
  CLAUSE,
  async (sandbox) => {
    const names = ["mkdir", "no_such_call"];
    expect((await sandbox.shell("echo ran", naming(names, {})).run()).stdout).toBe("ran\n");
    expect((await sandbox.shell("echo ran", naming(names, { [FAIL_UNKNOWN]: "0" })).run()).stdout).toBe(
      "ran\n",
    );
    const container = sandbox.shell("true", naming(names, { [FAIL_UNKNOWN]: "1" }));
    const words = "/linux/seccomp/syscalls/1/names/1: libseccomp does not know no_such_call";
    await expectNothingMade(sandbox, container, words);
  },
  { runc: IGNORED },
);

spec(
  `run and exec, ${FAIL_UNKNOWN} 1, all system calls known: the filter applies`,
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000", naming(["mkdir", "mkdirat"], { [FAIL_UNKNOWN]: "1" }));
    container.config.root.readonly = false;
    container.writeConfig();
    await container.started();
    expect((await container.exec(["mkdir", "/tmp/made"])).stderr).toContain("Operation not permitted");
  },
);

/** The container's cgroup as the host sees it, below the one that the config names. */
async function cgroupBelow(container: Container): Promise<string> {
  const { pid } = await container.state();
  const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "none";
  return path.slice(path.indexOf(container.id) + container.id.length);
}

spec(
  `create and exec, ${DELEGATE}: the processes are in that cgroup, which the container sees below its own`,
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000", annotated({ [DELEGATE]: "pay/load" }));
    await container.started();
    expect(await cgroupBelow(container)).toBe("/pay/load");
    const { stdout } = await container.exec(["cat", "/proc/1/cgroup", "/proc/self/cgroup"]);
    expect(stdout.match(/^0::.*$/gm)).toEqual(["0::/pay/load", "0::/pay/load"]);
    expect((await container.delete("--force")).code).toBe(0);
    expect(await sandbox.traces()).toEqual([]);
  },
  { runc: IGNORED },
);

spec(
  `create, user namespace, ${DELEGATE}: the container owns the cgroup, and limits above it hold`,
  CLAUSE,
  async (sandbox) => {
    const script =
      "cd /sys/fs/cgroup/payload && mkdir inner && echo 1 > inner/cgroup.procs && echo moved; echo 5 > ../cgroup.max.depth; sleep 999";
    const container = mappedShell(
      sandbox,
      script,
      annotated({ [DELEGATE]: "payload" }, (config) => {
        writableCgroup(config);
      }),
    );
    await container.started();
    await expect.poll(() => container.printed()).toBe("moved");
    const directory = `/sys/fs/cgroup/${container.id}`;
    expect(statSync(`${directory}/payload/cgroup.procs`).uid).toBe(BASE);
    expect(readFileSync(`${directory}/cgroup.max.depth`, "utf8")).toBe("max\n");
  },
  { runc: IGNORED },
);

const cgroupDeviations = byCase(
  { crun: NO_CHECK, runc: IGNORED, cases: ["/abs", "a/./b", `${"x/".repeat(200)}x`] },
  {
    crun: { reason: "takes .. as well", before: "1.28" },
    runc: IGNORED,
    cases: ["..", "a/../../b"],
  },
  { runc: IGNORED, cases: ["a\nb", "cgroup.procs"] },
);

for (const path of ["..", "a/../../b", "/abs", "a/./b", "a\nb", `${"x/".repeat(200)}x`, "cgroup.procs"]) {
  const shownPath = path.length > 50 ? "of 201 levels" : JSON.stringify(path);
  spec(
    `create, ${DELEGATE} ${shownPath}: error that names it, nothing left`,
    PROMISE,
    async (sandbox) => {
      const container = sandbox.shell("sleep 1000", annotated({ [DELEGATE]: path }));
      await expectNothingMade(sandbox, container, `/annotations/${DELEGATE}: `);
    },
    cgroupDeviations(path),
  );
}

spec(
  `create --cgroup-manager disabled, ${DELEGATE}: error that names it, nothing left`,
  PROMISE,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000", annotated({ [DELEGATE]: "payload" }));
    const globals = ["--cgroup-manager", "disabled"];
    await expectNothingMade(sandbox, container, `/annotations/${DELEGATE}: the container has no cgroup`, {
      globals,
    });
  },
  { crun: "makes the cgroup below the caller's own" },
);
