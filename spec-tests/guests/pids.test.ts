import { expect } from "vitest";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { byCase } from "../harness/peers.ts";

const ZERO_IS_NO_LIMIT = "1.1 takes 0 for no limit, and of negative values only -1";

const CLAUSE = "config-linux.md, PIDs";
/** Each process starts two copies of itself and stays, without end. */
const BOMB = "bomb() { (bomb) & (bomb) & sleep 999; }; bomb 2>/dev/null; sleep 999";

describeGuest("pids", () => {
  guestSpec("create with pids.limit: a fork bomb stops at the limit", CLAUSE, async (sandbox) => {
    const container = sandbox.limited(BOMB, { pids: { limit: 12 } });
    await container.started();
    await sandbox.guest.output(
      `until grep -q "max [1-9]" ${container.cgroup}/pids.events; do sleep 0.2; done; sleep 1`,
    );
    expect(await container.files("pids.max", "pids.peak")).toBe("12\n12");
  });

  guestSpec(
    "wait, the process exits with 7: the exit code; before Linux 6.15 it may be reaped first, and is unknown then",
    "practice of docker wait and podman wait",
    async (sandbox) => {
      const container = sandbox.limited("until [ -e /tmp/go ]; do sleep 0.2; done; exit 7", {});
      await container.started();
      const file = `/run/outputs/${container.id}.wait`;
      const wait = sandbox.command(["wait", container.id], `> ${file} 2>&1`);
      await sandbox.guest.output(`(${wait}; echo status $? >> ${file}) &`);
      await container.exec("touch", "/tmp/go");
      const printed = await sandbox.guest.output(
        `until grep status ${file}; do sleep 0.2; done >/dev/null; cat ${file}`,
      );
      expect(printed.trim()).toMatch(
        /^(7\nstatus 0|\S+ level=warning msg="the exit code of container \S+ is unknown: [^\n]+"\nunknown\nstatus 3)$/,
      );
      expect(await container.status()).toBe("stopped");
    },
    { both: "has no such command" },
  );

  const deviations = byCase({ runc: ZERO_IS_NO_LIMIT, cases: ["-2"] });

  for (const [limit, expected] of [
    [5, "5"],
    [-1, "max"],
    [-2, "max"],
  ] as const) {
    guestSpec(
      `create with pids.limit ${limit}: pids.max is set`,
      CLAUSE,
      async (sandbox) => {
        const container = sandbox.limited("sleep 999", { pids: { limit } });
        await container.created();
        expect(await container.files("pids.max")).toBe(expected);
      },
      deviations(limit),
    );
  }

  guestSpec(
    "run with pids.limit 0: fork fails",
    `${CLAUSE}: 0 SHOULD be a limit of 0`,
    async (sandbox) => {
      const container = sandbox.limited("(true) & wait $! && echo forked", { pids: { limit: 0 } });
      expect((await container.run()).stdout).toBe("");
    },
    { crun: "0 is a limit of memory, but no limit of processes", runc: ZERO_IS_NO_LIMIT },
  );

  guestSpec(
    "update --pids-limit: the new limit holds",
    "practice of runc and crun",
    async (sandbox) => {
      const container = sandbox.limited("sleep 999", { pids: { limit: 1 } });
      await container.started();
      expect((await container.exec("true")).code).not.toBe(0);
      await container.updated("--pids-limit", "2");
      expect((await container.exec("true")).code).toBe(0);
      await container.updated("--pids-limit", "-1");
      expect(await container.files("pids.max")).toBe("max");
    },
    {
      crun: "exec moves its process into the cgroup, and the kernel enforces the limit only on fork",
      runc: "its own threads that join the container count against the limit",
    },
  );
});
