import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { expect } from "vitest";
import type { Hook, HookName } from "../harness/config.ts";
import type { Container } from "../harness/container.ts";
import { parseObject } from "../harness/json.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { RUNTIME } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const POSTSTART_IN_CREATE = "poststart hooks run at the end of create in 1.1, with the status created";
const VERSION_1_0 = 'the ociVersion in the state of hooks is "1.0", which is not SemVer';

const CLAUSE = "config.md, POSIX-platform Hooks";

/** A hook that is one line of shell; `$dir` is the folder of the test, `$state` the state from stdin. */
function hook(sandbox: Sandbox, script: string): Hook {
  return {
    path: "/bin/sh",
    args: ["sh", "-c", `dir=${sandbox.directory}; state=$(cat); ${script}`],
    env: ["PATH=/usr/bin:/bin"],
  };
}

function trace(sandbox: Sandbox): string {
  const path = sandbox.path("trace");
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

function hooked(
  sandbox: Sandbox,
  hooks: Partial<Record<HookName, Hook[]>>,
  script = "sleep 1000",
): Container {
  return sandbox.shell(script, (config) => {
    config.hooks = hooks;
  });
}

spec(
  "hooks: each kind runs at its step, in the listed order",
  "runtime.md, Lifecycle",
  async (sandbox) => {
    const note = (name: string): Hook => hook(sandbox, `echo ${name} >> $dir/trace`);
    const container = hooked(sandbox, {
      prestart: [note("prestart1"), note("prestart2")],
      createRuntime: [note("createRuntime1"), note("createRuntime2")],
      poststart: [note("poststart1"), note("poststart2")],
      poststop: [note("poststop1"), note("poststop2")],
    });
    await container.created();
    const duringCreate = "prestart1\nprestart2\ncreateRuntime1\ncreateRuntime2\n";
    expect(trace(sandbox)).toBe(duringCreate);
    await container.start();
    expect(trace(sandbox)).toBe(`${duringCreate}poststart1\npoststart2\n`);
    await container.kill("KILL");
    await container.until("stopped");
    expect(trace(sandbox)).toBe(`${duringCreate}poststart1\npoststart2\n`);
    await container.delete();
    expect(trace(sandbox)).toBe(`${duringCreate}poststart1\npoststart2\npoststop1\npoststop2\n`);
  },
  { runc: POSTSTART_IN_CREATE },
);

const stateDeviations = byCase(
  { crun: VERSION_1_0, cases: ["prestart", "createRuntime", "poststop"] },
  { crun: VERSION_1_0, runc: POSTSTART_IN_CREATE, cases: ["poststart"] },
);

for (const [name, statuses] of [
  ["prestart", ["creating", "created"]],
  ["createRuntime", ["creating", "created"]],
  ["poststart", ["running"]],
  ["poststop", ["stopped"]],
] as const) {
  spec(
    `${name} hook: gets the state on stdin`,
    `${CLAUSE}: the state MUST be passed over stdin`,
    async (sandbox) => {
      const container = hooked(sandbox, { [name]: [hook(sandbox, 'echo "$state" > $dir/trace')] });
      await container.started();
      await container.kill("KILL");
      await container.until("stopped");
      await container.delete();
      const state = parseObject(trace(sandbox));
      expect(state).toMatchObject({ id: container.id, bundle: container.bundle });
      expect(state.ociVersion).toMatch(/^1\.[0-9]+\.[0-9]+/);
      expect(statuses).toContain(state.status);
    },
    stateDeviations(name),
  );
}

spec(
  "prestart hook: the pid in the state leads to the container's namespaces",
  "engines: docker's network hook",
  async (sandbox) => {
    const script = [
      `pid=$(echo "$state" | sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p')`,
      "readlink /proc/$pid/ns/net /proc/self/ns/net > $dir/trace",
    ].join("; ");
    const container = hooked(sandbox, { prestart: [hook(sandbox, script)] });
    await container.created();
    const [inside, outside] = trace(sandbox).split("\n");
    expect(inside).toMatch(/^net:/);
    expect(outside).toMatch(/^net:/);
    expect(inside).not.toBe(outside);
  },
);

spec(
  "hook args, env and missing env: passed as written, nothing else",
  `${CLAUSE}: execv semantics`,
  async (sandbox) => {
    const script = `echo "$0 $1" > $dir/args; tr "\\0" "\\n" < /proc/$$/environ > $dir/trace`;
    const withArgs = {
      path: "/bin/sh",
      args: ["sh", "-c", `dir=${sandbox.directory}; ${script}`, "zero", "one two"],
    };
    const container = hooked(sandbox, { createRuntime: [{ ...withArgs, env: ["A=1", "B=two words"] }] });
    await container.created({ env: { SECRET_OF_CALLER: "1" } });
    expect(readFileSync(sandbox.path("args"), "utf8")).toBe("zero one two\n");
    expect(trace(sandbox)).toBe("A=1\nB=two words\n");
  },
);

spec(
  "hook without env: an empty environment",
  `${CLAUSE}: env`,
  async (sandbox) => {
    const script = `tr "\\0" "\\n" < /proc/$$/environ > ${sandbox.path("trace")}`;
    const container = hooked(sandbox, { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", script] }] });
    await container.created({ env: { SECRET_OF_CALLER: "1" } });
    expect(trace(sandbox)).toBe("");
  },
  {
    crun: "a hook without env inherits the environment of the runtime",
    runc: "a hook without env inherits the environment of the runtime in 1.1",
  },
);

spec("hook with a relative path: error", `${CLAUSE}: path MUST be absolute`, async (sandbox) => {
  const container = hooked(sandbox, { createRuntime: [{ path: "bin/true" }] });
  expectRefusal(await container.create(), inOurWords("/hooks/createRuntime/0/path: "));
  expect(await sandbox.traces()).toEqual([]);
});

for (const name of ["prestart", "createRuntime"] as const) {
  spec(
    `${name} hook fails: create fails, nothing is left, later hooks do not run`,
    "runtime.md, Lifecycle steps 3 and 4",
    async (sandbox) => {
      const container = hooked(sandbox, {
        [name]: [hook(sandbox, "exit 3"), hook(sandbox, "touch $dir/trace")],
      });
      const result = await container.create();
      expectRefusal(result, /hook/);
      expect(existsSync(sandbox.path("trace"))).toBe(false);
      expectRefusal(await container.stateCommand(), inOurWords("container does not exist"));
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}

spec(
  "createRuntime hook fails: poststop hooks run",
  "runtime.md, Lifecycle step 4: go on at step 12",
  async (sandbox) => {
    const container = hooked(sandbox, {
      createRuntime: [hook(sandbox, "exit 3")],
      poststop: [hook(sandbox, "echo poststop >> $dir/trace")],
    });
    expectRefusal(await container.create(), inOurWords("/hooks/createRuntime/0: "));
    await container.delete("--force");
    expect(trace(sandbox)).toBe("poststop\n");
  },
  { crun: "a create that failed runs no poststop hooks" },
);

spec(
  "hook fails: its output is in the error",
  "practice of runc and crun",
  async (sandbox) => {
    const container = hooked(sandbox, { createRuntime: [hook(sandbox, "echo my-own-words >&2; exit 3")] });
    expect((await container.create()).stderr).toContain("my-own-words");
  },
  { crun: "the output of hooks goes to files named by annotations" },
);

spec("hook over its timeout: killed, create fails", `${CLAUSE}: timeout`, async (sandbox) => {
  const container = hooked(sandbox, { createRuntime: [{ ...hook(sandbox, "exec sleep 100"), timeout: 1 }] });
  const result = await container.create();
  expectRefusal(result, inOurWords("/hooks/createRuntime/0: "));
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "hook with timeout 0: error",
  `${CLAUSE}: timeout MUST be greater than zero`,
  async (sandbox) => {
    const container = hooked(sandbox, { createRuntime: [{ ...hook(sandbox, "true"), timeout: 0 }] });
    expectRefusal(await container.create(), inOurWords("/hooks/createRuntime/0/timeout: "));
  },
  { crun: "a timeout of 0 is no limit" },
);

spec(
  "hook that does not read its stdin: no failure",
  "runtime-tools: EPIPE from a hook is not a failure",
  async (sandbox) => {
    const container = hooked(sandbox, {
      createRuntime: [{ path: "/bin/true" }, { path: "/bin/sleep", args: ["sleep", "0.1"] }],
    });
    container.config.annotations = { big: "x".repeat(200_000) };
    container.writeConfig();
    expect((await container.create()).code).toBe(0);
  },
  { crun: { reason: "dies of SIGPIPE when a hook ends before it has read the state", sometimes: true } },
);

const failureDeviations = byCase(
  {
    crun: "start does not fail when a startContainer hook fails or exceeds its timeout",
    runc: "start waits neither for startContainer hooks nor for the execve",
    cases: ["startContainer"],
  },
  {
    crun: [
      { reason: "a failed poststart hook is a warning, as older texts of the spec had it", before: "1.28" },
      { reason: "start fails, but not always with a message", sometimes: true },
    ],
    runc: POSTSTART_IN_CREATE,
    cases: ["poststart"],
  },
);

for (const [name, step] of [
  ["startContainer", 7],
  ["poststart", 9],
] as const) {
  spec(
    `${name} hook fails: start fails, the container is destroyed, and poststop hooks run`,
    `runtime.md, Lifecycle step ${step}: stop the container, and continue at step 12`,
    async (sandbox) => {
      const failing = { path: "/bin/sh", args: ["sh", "-c", "exit 3"] };
      const hooks = { [name]: [failing], poststop: [hook(sandbox, "echo poststop >> $dir/trace")] };
      const container = hooked(sandbox, hooks);
      await container.created();
      expectRefusal(await container.start(), /hook/);
      expect(trace(sandbox)).toBe("poststop\n");
      expectRefusal(await container.stateCommand(), inOurWords("container does not exist"));
      expect(await sandbox.traces()).toEqual([]);
      // Engines delete the container after a failed start.
      expect((await container.delete("--force")).code).toBe(0);
      expect(trace(sandbox)).toBe("poststop\n");
    },
    failureDeviations(name),
  );
}

spec(
  "poststart hook fails, the container has ended and another one uses its cgroup: the other container is not killed",
  "promise: no process of another container is killed",
  async (sandbox) => {
    const inShared = (container: Container): Container => {
      container.config.linux.cgroupsPath = `/${sandbox.tag}shared`;
      container.writeConfig();
      return container;
    };
    const other = inShared(sandbox.shell("sleep 1000", () => {}));
    const runtime = `${RUNTIME} --root ${sandbox.root}`;
    const isStopped = (id: string) => `${runtime} state ${id} | grep -q stopped`;
    const create = `${runtime} create --bundle ${other.bundle} ${other.id} </dev/null >/dev/null 2>&1`;
    const container = inShared(hooked(sandbox, { poststart: [] }, "true"));
    const wait = `for i in $(seq 50); do ${isStopped(container.id)} && break; sleep 0.05; done`;
    container.config.hooks?.poststart?.push(hook(sandbox, `${wait}; ${create}; exit 3`));
    container.writeConfig();
    await container.created();
    expect((await container.start()).stderr).toContain("hook");
    expect((await other.state()).status).toBe("created");
  },
  {
    crun: "a failed poststart hook is a warning before 1.28, and kills all that is in the container's cgroup since",
    runc: POSTSTART_IN_CREATE,
  },
);

for (const flags of [[], ["--detach"]]) {
  spec(
    `${["run", ...flags].join(" ")}, start fails and another container takes the id: the other container stays`,
    "runtime.md, State: the id belongs to one container",
    async (sandbox) => {
      const other = sandbox.shell("sleep 1000", () => {});
      const poststart = [{ path: "/bin/sh", args: ["sh", "-c", "exit 3"] }];
      const container = hooked(sandbox, { poststart, poststop: [] }, "sleep 3");
      const create = `${RUNTIME} --root ${sandbox.root} create --bundle ${other.bundle} ${container.id}`;
      container.config.hooks?.poststop?.push(hook(sandbox, `${create} </dev/null >/dev/null 2>&1`));
      container.writeConfig();
      expectRefusal(await container.run({ flags }), /hook/);
      const { bundle, status } = await container.state();
      expect({ bundle, status }).toEqual({ bundle: other.bundle, status: "created" });
    },
    {
      crun: "poststop hooks run while the id is still taken; before 1.28 a failed poststart hook is a warning",
    },
  );
}

spec(
  "poststop hook fails: delete succeeds, the other hooks run",
  "runtime.md, Lifecycle step 13: a warning",
  async (sandbox) => {
    const container = hooked(sandbox, {
      poststop: [hook(sandbox, "exit 3"), hook(sandbox, "echo second >> $dir/trace")],
    });
    await container.created();
    expect((await container.delete("--force")).code).toBe(0);
    expect(trace(sandbox)).toBe("second\n");
  },
  { runc: "stops at the first poststop hook that fails, and returns its error" },
);

spec("hooks: run in the runtime's namespaces", `${CLAUSE}: runtime namespace`, async (sandbox) => {
  const container = hooked(sandbox, {
    prestart: [hook(sandbox, "readlink /proc/self/ns/mnt >> $dir/trace")],
    poststart: [hook(sandbox, "readlink /proc/self/ns/mnt >> $dir/trace")],
  });
  await container.started();
  const outside = readlinkSync("/proc/self/ns/mnt");
  expect(trace(sandbox)).toBe(`${outside}\n${outside}\n`);
});

spec("run with hooks: poststop runs before run returns", "practice of runc and crun", async (sandbox) => {
  const container = hooked(sandbox, { poststop: [hook(sandbox, "echo stopped >> $dir/trace")] }, "true");
  await container.output();
  expect(trace(sandbox)).toBe("stopped\n");
});
