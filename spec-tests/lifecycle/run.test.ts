import { mkdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { succeed } from "../harness/container.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice: run";

for (const code of [0, 1, 42, 255]) {
  spec(`run, program exits with ${code}: so does run`, CLAUSE, async (sandbox) => {
    expect((await sandbox.shell(`exit ${code}`).run()).code).toBe(code);
  });
}

for (const [name, number] of [
  ["KILL", 9],
  ["TERM", 15],
  ["SEGV", 11],
] as const) {
  spec(`run, program ended by SIG${name}: exits with ${128 + number}`, CLAUSE, async (sandbox) => {
    const container = sandbox.shell(`kill -${name} $$`, (config) => {
      config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
    });
    expect((await container.run()).code).toBe(128 + number);
  });
}

/** Like a daemon that does not wait for its children: ignored signals stay ignored across execve(2). */
const IGNORING_SIGCHLD = ["env", "--ignore-signal=CHLD"];

spec(
  "run, the caller ignores SIGCHLD: exits with the program's code all the same",
  CLAUSE,
  async (sandbox) => {
    sandbox.wrapper = IGNORING_SIGCHLD;
    expect((await sandbox.shell("exit 3").run()).code).toBe(3);
  },
  { crun: "waits forever for a child that the kernel has reaped" },
);

spec("run, the caller ignores SIGCHLD: a failed hook is an error all the same", CLAUSE, async (sandbox) => {
  sandbox.wrapper = IGNORING_SIGCHLD;
  const container = sandbox.shell("true", (config) => {
    config.hooks = { createRuntime: [{ path: "/bin/false" }] };
  });
  expectRefusal(await container.run(), inOurWords("/hooks/createRuntime/0"));
});

spec("run: the container is deleted afterwards", CLAUSE, async (sandbox) => {
  const container = sandbox.container();
  await container.output();
  expect(await sandbox.traces()).toEqual([]);
});

spec("run --keep: the container stays, stopped", "practice; BuildKit depends on it", async (sandbox) => {
  const container = sandbox.shell("exit 3");
  expect((await container.run({ flags: ["--keep"] })).code).toBe(3);
  expect((await container.state()).status).toBe("stopped");
  expect((await container.delete()).code).toBe(0);
});

spec("run --detach: returns at once, the container runs", "practice of runc and crun", async (sandbox) => {
  const container = sandbox.shell("sleep 1000");
  const pidFile = sandbox.path("pid");
  expect((await container.run({ flags: ["--detach", "--pid-file", pidFile] })).code).toBe(0);
  const state = await container.state();
  expect(state.status).toBe("running");
  expect(readFileSync(pidFile, "utf8")).toBe(String(state.pid));
});

spec("run, SIGTERM sent to the runtime: forwarded to the program", CLAUSE, async (sandbox) => {
  const container = sandbox.shell(
    "trap 'echo got TERM; exit 5' TERM; touch /tmp/ready; while :; do sleep 0.02; done",
    (config) => {
      config.root.readonly = false;
    },
  );
  const result = await container.run({
    whileRunning: async (pid) => {
      await expect.poll(() => readFileSync(`${container.rootfs}/tmp/ready`, "utf8")).toBe("");
      process.kill(pid, "SIGTERM");
    },
  });
  expect(result).toMatchObject({ code: 5, stdout: "got TERM\n" });
});

spec(
  "run, id in use: error, and the first container is untouched",
  "runtime.md, Create: the id MUST be unique",
  async (sandbox) => {
    const container = sandbox.container();
    await container.created();
    expect((await container.run()).code).not.toBe(0);
    expect((await container.state()).status).toBe("created");
  },
);

spec(
  "run --bundle, --pid-file, --detach: bundle and pid file as with create",
  "practice of runc and crun",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    const file = sandbox.path("pid");
    const args = ["run", "--bundle", container.bundle, "--pid-file", file, "--detach", container.id];
    succeed("run", await sandbox.invoke(args, { stdout: sandbox.path("out") }));
    const { pid, status } = await container.state();
    expect([status, readFileSync(file, "utf8")]).toEqual(["running", String(pid)]);
  },
);

spec(
  "run --no-pivot: as with create, so a private root is refused",
  "practice of runc",
  async (sandbox) => {
    expect(await sandbox.shell("echo ran").output({ flags: ["--no-pivot"] })).toBe("ran\n");
    const container = sandbox.shell("echo ran", (config) => {
      config.linux.rootfsPropagation = "private";
    });
    expectRefusal(await container.run({ flags: ["--no-pivot"] }), inOurWords("--no-pivot"));
  },
  {
    crun: "create takes no options after the id, --rootless accepts any word, and --no-pivot any propagation",
  },
);

spec(
  "run --no-pivot, a procfs is mounted and unmounted on the host meanwhile: no error",
  "promise: races",
  async (sandbox) => {
    const place = sandbox.path("proc");
    mkdirSync(place);
    // The loop mounts in the runtime's own mount namespace, until the runtime has ended.
    const script =
      '(while kill -0 $$; do mount -t proc proc "$0"; umount "$0"; done) 2>/dev/null & exec "$@"';
    const wrapper = ["unshare", "-m", "sh", "-c", script, place];
    for (let i = 0; i < 20; i++)
      expect(await sandbox.shell("echo ran").output({ flags: ["--no-pivot"], wrapper })).toBe("ran\n");
  },
  {
    crun: {
      reason: "may hang for ever on a procfs that was unmounted since it was listed",
      sometimes: true,
    },
  },
);
