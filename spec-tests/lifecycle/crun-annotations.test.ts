import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { type Config, type Hook, writableCgroup } from "../harness/config.ts";
import type { Container, CreateOptions } from "../harness/container.ts";
import { openPidfdReceiver } from "../harness/helpers/pidfd.ts";
import { openSeccompAgent, type SeccompAgent } from "../harness/helpers/seccomp-agent.ts";
import { findings, shown } from "../harness/helpers/validate.ts";
import { BASE, mappedShell } from "../harness/host/user-namespace.ts";
import { parseObject } from "../harness/json.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "crun(1), Extensions to OCI";
const PROMISE = "promise: an engine's user can't reach the host by an annotation";
const IGNORED = "ignores annotations of crun";
const OBEYED = "obeys every annotation, whoever has written it";
const NO_CHECK = "takes any path";
const KEEPS_CGROUP = "leaves the cgroup of a container whose pidfd it can't send";

/** runts wants the caller's word for annotations that name something of the host. */
function allowing(...keys: string[]): CreateOptions {
  return IS_RUNTS ? { globals: keys.map((key) => `--allow-annotation=${key}`) } : {};
}

const STDOUT = "run.oci.hooks.stdout";
const STDERR = "run.oci.hooks.stderr";
const RECEIVER = "run.oci.seccomp.receiver";
const PIDFD = "run.oci.pidfd_receiver";
const DELEGATE = "run.oci.delegate-cgroup";
const FAIL_UNKNOWN = "run.oci.seccomp_fail_unknown_syscall";

function annotated(annotations: Record<string, string>, mutate?: (config: Config) => void) {
  return (config: Config): void => {
    config.annotations = annotations;
    mutate?.(config);
  };
}

/** A file that a hook was to write to. */
const textOf = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");

function sayingHook(out: string, err = ""): Hook {
  const script = `${out === "" ? "" : `echo ${out}`}${err === "" ? "" : `; echo ${err} >&2`}`;
  return { path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"] };
}

async function expectNothingMade(
  sandbox: Sandbox,
  container: Container,
  words: string,
  options?: CreateOptions,
) {
  expectRefusal(await container.create(options), inOurWords(words));
  expect(await sandbox.traces()).toEqual([]);
}

spec(
  `hooks, ${STDOUT} and stderr: the files get the output of all kinds of hooks, appended`,
  CLAUSE,
  async (sandbox) => {
    const [out, err] = [sandbox.path("out"), sandbox.path("err")];
    writeFileSync(out, "before\n");
    const container = sandbox.shell(
      "sleep 1000",
      annotated({ [STDOUT]: out, [STDERR]: err }, (config) => {
        config.hooks = {
          createRuntime: [sayingHook("createRuntime1", "warned"), sayingHook("createRuntime2")],
          createContainer: [sayingHook("createContainer")],
          startContainer: [sayingHook("startContainer")],
          poststart: [sayingHook("poststart")],
          poststop: [sayingHook("poststop")],
        };
      }),
    );
    await container.created(allowing(STDOUT, STDERR));
    expect(textOf(out)).toBe("before\ncreateRuntime1\ncreateRuntime2\ncreateContainer\n");
    expect(textOf(err)).toBe("warned\n");
    expect((await container.start()).code).toBe(0);
    expect((await container.delete("--force")).code).toBe(0);
    const later = textOf(out).trim().split("\n").slice(4);
    // crun does not wait for the startContainer hooks before it runs the others.
    expect(later.toSorted()).toEqual(["poststart", "poststop", "startContainer"]);
  },
  { runc: IGNORED },
);

spec(
  `create, a hook fails, ${STDERR}: the file has its output, nothing else is left`,
  CLAUSE,
  async (sandbox) => {
    const err = sandbox.path("err");
    const container = sandbox.shell(
      "true",
      annotated({ [STDERR]: err }, (config) => {
        config.hooks = {
          createRuntime: [{ ...sayingHook(""), args: ["sh", "-c", "echo reason >&2; exit 3"] }],
        };
      }),
    );
    const words = "/hooks/createRuntime/0: error running createRuntime hook /bin/sh: exit status 3";
    await expectNothingMade(sandbox, container, words, allowing(STDERR));
    expect(textOf(err)).toBe("reason\n");
  },
  { runc: IGNORED },
);

spec(
  `startContainer hook, ${STDOUT}: no descriptor of the host's file enters the container`,
  "promise: a descriptor in the container leads to nothing of the host",
  async (sandbox) => {
    const out = sandbox.path("out");
    const look = "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done";
    const container = sandbox.shell(
      "true",
      annotated({ [STDOUT]: out }, (config) => {
        const hook = { path: "/bin/sh", args: ["sh", "-c", look], env: ["PATH=/bin"] };
        config.hooks = { createContainer: [hook], startContainer: [hook] };
      }),
    );
    await container.started(allowing(STDOUT));
    const links = textOf(out).trim().split("\n");
    expect(links).toHaveLength(6);
    for (const link of links) expect(link).toMatch(/^\/memfd:/);
  },
  { crun: "hooks hold the file itself", runc: IGNORED },
);

spec(
  `startContainer hook whose output has a size of 1 TiB, ${STDOUT}: the host's file gets 1 MiB of it, and a line that says so`,
  "promise: a container can't fill the host's disk",
  async (sandbox) => {
    const out = sandbox.path("out");
    const container = sandbox.shell(
      "true",
      annotated({ [STDOUT]: out }, (config) => {
        const script = "echo before; truncate -s 1099511627776 /proc/self/fd/1";
        config.hooks = {
          startContainer: [{ path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/bin:/usr/bin"] }],
        };
      }),
    );
    await container.started({ ...allowing(STDOUT), timeoutMs: 30_000 });
    const text = textOf(out);
    const note = `\nrunts: the output of this hook is truncated: ${2 ** 40} bytes, of which the first ${2 ** 20} are kept\n`;
    expect(text.slice(0, 7)).toBe("before\n");
    expect(text.slice(2 ** 20)).toBe(note);
  },
  { crun: "hooks hold the file itself, and its disk space is used as they use it", runc: IGNORED },
);

const pathDeviations = byCase(
  {
    both: "opens whatever is there, or nothing",
    cases: ["a symbolic link", "a fifo", "a device", "a relative path"],
  },
  { runc: IGNORED, cases: ["a directory", "in a missing directory"] },
);

for (const [what, place, words] of [
  ["a symbolic link", (path: string) => symlinkSync("/etc/passwd", path), "is not a regular file"],
  ["a fifo", (path: string) => execFileSync("mkfifo", [path]), "is not a regular file"],
  ["a device", (path: string) => execFileSync("mknod", [path, "c", "1", "3"]), "is not a regular file"],
  ["a directory", (path: string) => mkdirSync(path), "is not a regular file"],
  ["in a missing directory", () => undefined, "no such file or directory"],
  ["a relative path", () => undefined, "must be an absolute path"],
] as const) {
  spec(
    `create, ${STDOUT} ${what}: error that names it, nothing left`,
    PROMISE,
    async (sandbox) => {
      const given = sandbox.path("given");
      place(given);
      const before = readFileSync("/etc/passwd", "utf8");
      const path = what === "a relative path" ? "given" : what.startsWith("in") ? `${given}/missing` : given;
      const container = sandbox.shell(
        "true",
        annotated({ [STDOUT]: path }, (config) => {
          config.hooks = { createRuntime: [sayingHook("output")] };
        }),
      );
      const result = await container.create({ ...allowing(STDOUT), timeoutMs: 10_000 });
      expectRefusal(result, IS_RUNTS ? `/annotations/${STDOUT}: ` : undefined);
      expectRefusal(result, inOurWords(words));
      expect(readFileSync("/etc/passwd", "utf8")).toBe(before);
      expect(await sandbox.traces()).toEqual([]);
    },
    pathDeviations(what),
  );
}

for (const key of [STDOUT, STDERR, RECEIVER, PIDFD]) {
  spec(
    `create, ${key} without --allow-annotation: error that names it, nothing is opened`,
    PROMISE,
    async (sandbox) => {
      const path = sandbox.path("named");
      const container = sandbox.shell(
        "true",
        annotated({ [key]: path }, (config) => {
          config.hooks = { createRuntime: [sayingHook("output", "error")] };
        }),
      );
      await expectNothingMade(sandbox, container, `/annotations/${key}: names a `);
      expectRefusal(await container.create(), inOurWords(`--allow-annotation ${key}`));
      expect(existsSync(path)).toBe(false);
      if (IS_RUNTS)
        expect((await findings(sandbox, container)).map(shown)).toContain(
          `error annotation /annotations/${key}`,
        );
    },
    { crun: OBEYED, runc: IGNORED },
  );
}

spec(
  "--allow-annotation with an unknown annotation: error",
  PROMISE,
  async (sandbox) => {
    const result = await sandbox.invoke(["--allow-annotation", "run.oci.handler", "list"]);
    expectRefusal(result, "must be one of run.oci.hooks.stdout, ");
  },
  { both: "has no such option" },
);

spec(
  `create, ${PIDFD}: the socket gets a pidfd of init`,
  CLAUSE,
  async (sandbox) => {
    const receiver = await openPidfdReceiver(sandbox);
    const container = sandbox.shell("sleep 1000", annotated({ [PIDFD]: receiver.socket }));
    await container.created(allowing(PIDFD));
    const { pid } = await container.state();
    expect(await receiver.received()).toEqual({ message: " ", fds: 1, pid });
    await receiver.signal(9);
    await container.until("stopped");
  },
  { runc: IGNORED },
);

spec(
  `create, ${PIDFD}, nobody listens: error that names it, nothing left`,
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.shell("true", annotated({ [PIDFD]: sandbox.path("nobody.sock") }));
    await expectNothingMade(sandbox, container, `/annotations/${PIDFD}: `, allowing(PIDFD));
  },
  { crun: KEEPS_CGROUP, runc: IGNORED },
);

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

const refusedDeviations = byCase(
  {
    crun: "waits without end for the listener of a filter that has none",
    runc: IGNORED,
    cases: ["run.oci.seccomp.plugins"],
  },
  {
    crun: "obeys it, or ignores it",
    runc: IGNORED,
    cases: ["run.oci.seccomp_bpf_data", "run.oci.systemd.force_cgroup_v1", "run.oci.handler"],
  },
);

for (const [key, value] of [
  ["run.oci.seccomp.plugins", "/no/plugin.so"],
  ["run.oci.seccomp_bpf_data", "BgAAAAAA/38="],
  ["run.oci.systemd.force_cgroup_v1", "/sys/fs/cgroup/systemd"],
  ["run.oci.handler", "krun"],
] as const) {
  spec(
    `create, ${key}: error that names it, nothing left`,
    "promise: what is not supported is refused by name",
    async (sandbox) => {
      const container = sandbox.shell(
        "true",
        annotated({ [key]: value }, (config) => {
          config.linux.seccomp = {
            defaultAction: "SCMP_ACT_ALLOW",
            syscalls: [{ names: ["ptrace"], action: "SCMP_ACT_ERRNO" }],
          };
        }),
      );
      await expectNothingMade(sandbox, container, `/annotations/${key}: is not supported: `);
    },
    refusedDeviations(key),
  );
}

spec(
  "validate, an annotation of run.oci. that nobody knows: a warning",
  "promise: misspelt names are found",
  async (sandbox) => {
    const container = sandbox.shell("true", annotated({ "run.oci.delegate-cgrop": "payload" }));
    const [found] = await findings(sandbox, container);
    expect(found).toMatchObject({
      severity: "warning",
      pointer: "/annotations/run.oci.delegate-cgrop",
      hint: 'did you mean "run.oci.delegate-cgroup"?',
    });
    expect((await container.create()).code).toBe(0);
  },
  { both: "has no such command" },
);
