import { existsSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Hook, HookName } from "../harness/config.ts";
import type { Container, CreateOptions } from "../harness/container.ts";
import { parseObject } from "../harness/json.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS, type Result } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CHECKED_BY_RUNNING =
  "checks hooks only by running them: create does not run these kinds, and runs a relative path that the current folder has";
const HOOKS_UNCHECKED = "does not check paths and timeouts of hooks; a timeout of 0 means none";
const PID_0 = "hooks in the container get pid 0 in the state";

const CLAUSE = "config.md, POSIX-platform Hooks";
const KINDS = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;

/** One line of shell that works on the host and in the container alike. */
function hook(script: string, changes: Partial<Hook> = {}): Hook {
  return { path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"], ...changes };
}

function hooked(sandbox: Sandbox, kind: HookName, hooks: Hook[]): Container {
  return sandbox.shell("sleep 1000", (config) => {
    config.hooks = { [kind]: hooks };
  });
}

/** The operation during which hooks of the kind run. */
async function operation(container: Container, kind: HookName, options: CreateOptions = {}): Promise<Result> {
  const created = await container.create(options);
  if (kind === "prestart" || kind === "createRuntime" || kind === "createContainer") return created;
  if (kind !== "poststop") return container.start();
  return container.delete("--force");
}

const argsDeviations = byCase({
  crun: { reason: "start does not wait for startContainer hooks", sometimes: true },
  runc: { reason: "start may return before the startContainer hooks have run", sometimes: true, from: "1.2" },
  cases: ["startContainer"],
});

const timeoutDeviations = byCase(
  {
    crun: "start does not fail when a startContainer hook fails or exceeds its timeout",
    runc: "start waits neither for startContainer hooks nor for the execve",
    cases: ["startContainer"],
  },
  {
    crun: { reason: "start does not fail when a poststart hook exceeds its timeout", before: "1.28" },
    cases: ["poststart"],
  },
  {
    runc: { reason: "delete fails when a poststop hook fails or exceeds its timeout", from: "1.3" },
    cases: ["poststop"],
  },
);

const pathDeviations = byCase(
  { runc: CHECKED_BY_RUNNING, cases: ["createContainer"] },
  { crun: HOOKS_UNCHECKED, runc: CHECKED_BY_RUNNING, cases: ["startContainer", "poststop"] },
  { crun: HOOKS_UNCHECKED, cases: ["poststart"] },
);

const noTimeDeviations = byCase(
  {
    crun: HOOKS_UNCHECKED,
    runc: { reason: "accepts a timeout of 0, and a hook may end before it is noticed", sometimes: true },
    cases: ["prestart", "createRuntime", "createContainer", "poststart"],
  },
  { crun: HOOKS_UNCHECKED, runc: CHECKED_BY_RUNNING, cases: ["startContainer", "poststop"] },
);

for (const kind of KINDS) {
  spec(
    `${kind} hook fails: the error has kind, index, path, exit status, time and both outputs`,
    "promise: a failed hook can be understood from the error",
    async (sandbox, context) => {
      if (!IS_RUNTS) context.skip("a promise only of runts");
      const container = hooked(sandbox, kind, [hook("true"), hook("echo said; echo complained >&2; exit 7")]);
      const { code, stderr } = await operation(container, kind);
      expect(code).toBe(kind === "poststop" ? 0 : 1);
      expect(stderr).toContain(`/hooks/${kind}/1: error running ${kind} hook /bin/sh: exit status 7 after `);
      expect(stderr).toMatch(/after \d+ ms, stdout: said, stderr: complained/);
    },
  );

  spec(
    `${kind} hook: its args and env as written, nothing else`,
    `${CLAUSE}: args and env with the semantics of execv`,
    async (sandbox) => {
      const inside = kind === "startContainer";
      const out = inside ? "/out" : sandbox.path("out");
      // A createContainer hook sees the host's procfs, but its own pid in the container's namespace.
      // Without `true` at the end, the shell would execute cat in its own place, with another environment.
      const shell = kind === "createContainer" ? "self" : "$$";
      const script = `echo "$0|$1|$2" > ${out}; cat < /proc/${shell}/environ >> ${out}; true`;
      const container = hooked(sandbox, kind, [
        { path: "/bin/sh", args: ["sh", "-c", script, "zero", "one two", ""], env: ["A=1", "B=two words"] },
      ]);
      container.config.root.readonly = false;
      container.writeConfig();
      await operation(container, kind, { env: { SECRET_OF_CALLER: "1" } });
      const text = inside ? container.readFile("out") : readFileSync(out, "utf8");
      expect(text).toBe("zero|one two|\nA=1\0B=two words\0");
    },
    argsDeviations(kind),
  );

  spec(
    `${kind} hook over its timeout: killed, and reported as an error`,
    `${CLAUSE}: timeout`,
    async (sandbox) => {
      const container = hooked(sandbox, kind, [hook("exec sleep 1000", { timeout: 1 })]);
      const result = await operation(container, kind);
      if (kind === "poststop") expect(result.code).toBe(0);
      else expectRefusal(result, inOurWords(`/hooks/${kind}/0`));
      expect(result.stderr).toMatch(IS_RUNTS ? /timeout|timed out|1 s/ : /./);
      // A peer may have kept the container. Without one, delete --force does nothing.
      await container.delete("--force");
      expect(await sandbox.traces()).toEqual([]);
    },
    timeoutDeviations(kind),
  );

  spec(
    `${kind} hook ends by a signal: the error names it`,
    "promise: a failed hook can be understood from the error",
    async (sandbox, context) => {
      if (!IS_RUNTS) context.skip("a promise only of runts");
      const container = hooked(sandbox, kind, [hook("kill -TERM $$; sleep 10")]);
      expect((await operation(container, kind)).stderr).toMatch(
        new RegExp(`/hooks/${kind}/0: .*: signal SIGTERM after \\d+ ms`),
      );
    },
  );

  spec(
    `${kind} hook with a relative path: error that names it`,
    `${CLAUSE}: path MUST be absolute`,
    async (sandbox) => {
      const container = hooked(sandbox, kind, [hook("true"), { path: "bin/true" }]);
      expectRefusal(await container.create(), IS_RUNTS ? `/hooks/${kind}/1/path` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    pathDeviations(kind),
  );

  spec(
    `${kind} hook with timeout 0: error that names it`,
    `${CLAUSE}: greater than zero`,
    async (sandbox) => {
      const container = hooked(sandbox, kind, [hook("true", { timeout: 0 })]);
      expectRefusal(await container.create(), IS_RUNTS ? `/hooks/${kind}/0/timeout` : undefined);
      expect(await sandbox.traces()).toEqual([]);
    },
    noTimeDeviations(kind),
  );
}

spec(
  "hook with much output: the error has the end of it",
  "promise: a failed hook can be understood from the error",
  async (sandbox, context) => {
    if (!IS_RUNTS) context.skip("a promise only of runts");
    const script = "i=0; while [ $i -lt 5000 ]; do echo line-$i; i=$((i+1)); done; exit 1";
    const { stderr } = await hooked(sandbox, "createRuntime", [hook(script)]).create();
    expect(stderr).toMatch(/line-4999\n/);
    expect(stderr).not.toContain("line-1\\n");
    expect(stderr.length).toBeLessThan(10_000);
  },
);

spec("hook that does not exist: error that names it", `${CLAUSE}: path`, async (sandbox) => {
  const container = hooked(sandbox, "createRuntime", [{ path: "/no/such/hook" }]);
  expectRefusal(await container.create(), "/no/such/hook");
  expect(await sandbox.traces()).toEqual([]);
});

const stateDeviations = byCase(
  {
    crun: PID_0,
    runc: "a createContainer hook gets the status creating, and the pid as the host sees it",
    cases: ["createContainer"],
  },
  {
    crun: PID_0,
    runc: { reason: "start does not wait for the hooks startContainer", sometimes: true, from: "1.3" },
    cases: ["startContainer"],
  },
);

for (const kind of ["createContainer", "startContainer"] as const) {
  spec(
    `${kind} hook: the state has the pid as the hook sees it, status created, and the annotations`,
    `${CLAUSE}: the state MUST be passed over stdin`,
    async (sandbox) => {
      // createContainer hooks see the host's file system, startContainer hooks only the container's.
      const isInside = kind === "startContainer";
      const out = isInside ? "/tmp/state" : sandbox.path("hook-state");
      const container = sandbox.shell("sleep 1000", (config) => {
        config.hooks = { [kind]: [hook(`cat > ${out}`)] };
        config.root.readonly = false;
        config.annotations = { "org.example.key": "value" };
      });
      await container.started();
      const state = parseObject(isInside ? container.readFile(out) : readFileSync(out, "utf8"));
      expect(state).toMatchObject({ id: container.id, status: "created", pid: 1, bundle: container.bundle });
      expect(state.annotations).toEqual({ "org.example.key": "value" });
    },
    stateDeviations(kind),
  );
}

for (const kind of ["prestart", "createRuntime"] as const) {
  spec(
    `${kind} hook: runs after the mounts are made and before pivot_root`,
    "runtime.md, Lifecycle: before pivot_root",
    async (sandbox) => {
      const out = sandbox.path("seen");
      const script = [
        "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p')",
        // The bundle and the container's /proc, both by their paths on the host.
        `{ ls -d /proc/$pid/root${sandbox.directory}; grep -c "/rootfs/proc " /proc/$pid/mountinfo; } > ${out}`,
      ].join("; ");
      const container = hooked(sandbox, kind, [hook(script)]);
      await container.created();
      const [root = "", mounts = ""] = readFileSync(out, "utf8").trim().split("\n");
      expect(root).toContain(sandbox.directory);
      expect(Number(mounts)).toBeGreaterThan(0);
    },
  );
}

spec(
  "createRuntime hook that prints escape sequences and fails: the error has them quoted",
  `${CLAUSE}: runtime MUST generate an error`,
  async (sandbox) => {
    const container = hooked(sandbox, "createRuntime", [hook("printf '\\033]0;title\\007' >&2; exit 1")]);
    expectRefusal(await container.create(), inOurWords("\\x1b]0;title\\x07"));
  },
);

spec(
  "startContainer hook without env: the environment of the process",
  `${CLAUSE}: env`,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000", (config) => {
      const args = ["sh", "-c", "cat < /proc/$$/environ > /tmp/new; mv /tmp/new /tmp/environ"];
      config.hooks = { startContainer: [{ path: "/bin/sh", args }] };
      config.process.env = ["PATH=/bin", "A=two words"];
      config.root.readonly = false;
    });
    await container.started({ env: { SECRET_OF_CALLER: "1" } });
    // A peer's start does not wait for its hooks.
    await expect.poll(() => existsSync(`${container.rootfs}/tmp/environ`)).toBe(true);
    const environment = container.readFile("tmp/environ").split("\0");
    expect(environment).toEqual(expect.arrayContaining(["PATH=/bin", "A=two words"]));
    expect(environment.join()).not.toContain("SECRET");
  },
  { crun: { reason: "a hook without env inherits the environment of the runtime", sometimes: true } },
);

spec(
  "startContainer hook with an empty env: an empty environment",
  `${CLAUSE}: env`,
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000", (config) => {
      const args = ["sh", "-c", "cat < /proc/$$/environ > /tmp/new; mv /tmp/new /tmp/environ"];
      config.hooks = { startContainer: [{ path: "/bin/sh", args, env: [] }] };
      config.root.readonly = false;
    });
    await container.started();
    await expect.poll(() => existsSync(`${container.rootfs}/tmp/environ`)).toBe(true);
    expect(container.readFile("tmp/environ")).toBe("");
  },
  { runc: { reason: "an empty env counts as none", from: "1.3" } },
);
