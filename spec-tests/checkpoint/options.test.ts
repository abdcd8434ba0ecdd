import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Hook } from "../harness/config.ts";
import {
  checkpoint,
  countAbove,
  counting,
  criuSpec,
  imagesIn,
  NO_STREAMS,
  restore,
  saveAndRestore,
  startedShell,
  succeeded,
  withHostPrograms,
} from "../harness/helpers/checkpoint.ts";
import { asObject, parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "practice of runc";

const LOCK = `import fcntl, time
file = open("/tmp/lock", "w")
fcntl.flock(file, fcntl.LOCK_EX)
open("/tmp/locked", "w")
time.sleep(1000)`;
const TRY_LOCK = 'import fcntl; fcntl.flock(open("/tmp/lock", "w"), fcntl.LOCK_EX | fcntl.LOCK_NB)';

criuSpec(
  "checkpoint, a program with a file lock: refused, saved only with --file-locks",
  CLAUSE,
  async (sandbox) => {
    const container = sandbox.container((config) => {
      config.root.readonly = false;
      config.process.args = ["python3", "-c", LOCK];
      withHostPrograms(config);
    });
    await container.started(NO_STREAMS);
    await expect.poll(() => existsSync(`${container.rootfs}/tmp/locked`)).toBe(true);
    const images = imagesIn(sandbox);
    expectRefusal(await checkpoint(sandbox, container, images), IS_RUNTS ? /file lock/i : undefined);
    expect((await container.state()).status).toBe("running");
    succeeded(await checkpoint(sandbox, container, images, "--file-locks"), images, "dump.log");
    succeeded(await restore(sandbox, container, images, ["--file-locks"]), images, "restore.log");
    expect((await container.exec(["python3", "-c", TRY_LOCK])).stderr).toContain("BlockingIOError");
  },
);

criuSpec(
  "checkpoint, an open file that is deleted: saved only with --link-remap, its content is restored",
  "practice of runc 1.3",
  async (sandbox) => {
    const script =
      "echo kept >/tmp/file; exec 9</tmp/file; ln /tmp/file /tmp/other; rm /tmp/file; echo x >/tmp/count; while [ ! -e /tmp/go ]; do sleep 0.05; done; cat <&9 >/tmp/result; sleep 1000";
    const container = await startedShell(sandbox, script);
    await expect.poll(() => existsSync(`${container.rootfs}/tmp/count`)).toBe(true);
    await saveAndRestoreRemapped(sandbox, container);
    container.writeFile("tmp/go", "");
    await expect.poll(() => container.readFile("tmp/result")).toBe("kept\n");
  },
);

async function saveAndRestoreRemapped(
  sandbox: Sandbox,
  container: Parameters<typeof checkpoint>[1],
): Promise<void> {
  const images = imagesIn(sandbox);
  expectRefusal(await checkpoint(sandbox, container, images), IS_RUNTS ? /link-remap/ : undefined);
  succeeded(await checkpoint(sandbox, container, images, "--link-remap"), images, "dump.log");
  succeeded(await restore(sandbox, container, images), images, "restore.log");
}

/** A line of shell that writes the state from its stdin to a file in the test's folder. */
function hook(sandbox: Sandbox, name: string, rest = "true"): Hook {
  const script = `cat >>${sandbox.directory}/${name}; echo >>${sandbox.directory}/${name}; ${rest}`;
  return { path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"] };
}

const NAMES = ["prestart", "createRuntime", "poststart", "poststop"] as const;

criuSpec(
  "checkpoint, restore with hooks: checkpoint runs poststop hooks, restore prestart and createRuntime hooks",
  CLAUSE,
  async (sandbox) => {
    const ran = (name: string) =>
      existsSync(sandbox.path(name)) ? readFileSync(sandbox.path(name), "utf8").trim().split("\n") : [];
    const container = await counting(sandbox, (config) => {
      config.hooks = Object.fromEntries(NAMES.map((name) => [name, [hook(sandbox, name)]]));
    });
    await countAbove(container, 1);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    expect(NAMES.map((name) => ran(name).length)).toEqual([1, 1, 1, 1]);
    succeeded(await restore(sandbox, container, images), images, "restore.log");
    expect(NAMES.map((name) => ran(name).length)).toEqual([2, 2, 1, 1]);
    const { pid } = await container.state();
    expect(parseObject(ran("createRuntime")[1] ?? "")).toMatchObject({
      id: container.id,
      pid,
      bundle: container.bundle,
    });
    await container.delete("--force");
    expect(ran("poststop")).toHaveLength(2);
  },
);

criuSpec(
  "restore, a createRuntime hook fails: error that names it, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    container.config.hooks = {
      createRuntime: [hook(sandbox, "ran", "echo broken >&2; exit 3")],
      poststop: [hook(sandbox, "stopped")],
    };
    container.writeConfig();
    expectRefusal(await restore(sandbox, container, images, [], {}), /broken/);
    expect((await container.stateCommand()).stderr).toContain("does not exist");
    expect(existsSync(sandbox.path("stopped"))).toBe(true);
    expect(await sandbox.traces()).toEqual([]);
  },
);

criuSpec(
  "restore: the seccomp filter, capabilities, no_new_privs and limits are the same as before",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox, (config) => {
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 77, hard: 88 }];
      config.process.user = { uid: 0, gid: 0, additionalGids: [7, 8] };
      config.linux.seccomp = {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["syslog"], action: "SCMP_ACT_ERRNO", errnoRet: 77 }],
      };
    });
    const facts = async () => {
      const { pid } = await container.state();
      const status = readFileSync(`/proc/${pid}/status`, "utf8").split("\n");
      const kept = status.filter((line) => /^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Umask)/.test(line));
      const limits = readFileSync(`/proc/${pid}/limits`, "utf8");
      return [...kept, limits, readFileSync(`/proc/${pid}/oom_score_adj`, "utf8")];
    };
    const before = await facts();
    expect(before.join("\n")).toMatch(/Seccomp:\t2/);
    await saveAndRestore(sandbox, container);
    expect(await facts()).toEqual(before);
  },
);

criuSpec(
  "checkpoint, annotation org.criu.config: criu reads its settings from that file",
  CLAUSE,
  async (sandbox) => {
    const settings = sandbox.path("criu.conf");
    writeFileSync(settings, "log-file from-annotation.log\n");
    const container = await counting(sandbox, (config) => {
      config.annotations = { "org.criu.config": settings };
    });
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    expect(existsSync(`${images.work}/from-annotation.log`)).toBe(true);
  },
);

for (const [flags, words] of [
  [["--manage-cgroups-mode", "some"], /manage-cgroups-mode/],
  [["--empty-ns", "ipc"], /namespace "?ipc"? is not supported/],
  [["--page-server", "here"], /page-server ADDRESS:PORT/],
] as const) {
  criuSpec(`checkpoint ${flags.join(" ")}: refused, the container runs on`, CLAUSE, async (sandbox) => {
    const container = await counting(sandbox);
    expectRefusal(await checkpoint(sandbox, container, imagesIn(sandbox), ...flags), words);
    expect((await container.state()).status).toBe("running");
  });
}

criuSpec("checkpoint --status-fd 7, descriptors 3 to 6 closed: accepted", CLAUSE, async (sandbox) => {
  const container = await counting(sandbox);
  const images = imagesIn(sandbox);
  const wrapper = ["sh", "-c", 'exec "$@" 3>&- 4>&- 5>&- 6>&- 7>"$0"', sandbox.path("status")];
  const flags = [...images.flags, "--leave-running", "--status-fd", "7"];
  succeeded(await sandbox.invoke(["checkpoint", ...flags, container.id], { wrapper }), images, "dump.log");
});

if (IS_RUNTS) {
  criuSpec(
    "checkpoint --status-fd with a closed descriptor: refused, the container runs on",
    CLAUSE,
    async (sandbox) => {
      const container = await counting(sandbox);
      const wrapper = ["sh", "-c", 'exec "$@" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-', "sh"];
      // The runtime itself uses some of these numbers.
      for (const number of ["3", "4", "5", "6", "7", "8", "9"]) {
        const flags = [...imagesIn(sandbox).flags, "--status-fd", number];
        const result = await sandbox.invoke(["checkpoint", ...flags, container.id], { wrapper });
        expectRefusal(result, `invalid --status-fd argument ${number}: it is not open`);
      }
      expect((await container.state()).status).toBe("running");
    },
  );
}

for (const mode of ["soft", "full", "ignore"]) {
  criuSpec(
    `checkpoint, restore --manage-cgroups-mode ${mode}: the program continues`,
    CLAUSE,
    async (sandbox) => {
      const container = await counting(sandbox);
      const reached = await countAbove(container, 1);
      await saveAndRestore(sandbox, container, ["--manage-cgroups-mode", mode]);
      await countAbove(container, reached);
      const { pid } = await container.state();
      expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`0::/${container.id}\n`);
    },
  );
}

criuSpec(
  "restore --manage-cgroups-mode strict: refused by criu, since the runtime has made the cgroup, nothing left",
  CLAUSE,
  async (sandbox) => {
    const container = await counting(sandbox);
    const images = imagesIn(sandbox);
    succeeded(await checkpoint(sandbox, container, images), images, "dump.log");
    const flags = ["--manage-cgroups-mode", "strict"];
    expectRefusal(
      await restore(sandbox, container, images, flags, {}),
      IS_RUNTS ? /existing cgroups/ : undefined,
    );
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "checkpoint without criu: single-line error that says what is missing",
  "promise",
  async (sandbox, context) => {
    if (!IS_RUNTS) context.skip("a promise only of runts");
    const container = await counting(sandbox);
    const hidden = [
      "unshare",
      "--mount",
      "sh",
      "-c",
      'for path in /usr/sbin/criu /usr/local/sbin/criu /usr/bin/criu; do [ ! -e $path ] || mount --bind /dev/null $path; done; exec "$@"',
      "sh",
    ];
    const result = await sandbox.invoke(
      ["checkpoint", "--image-path", sandbox.path("images"), container.id],
      {
        wrapper: hidden,
      },
    );
    expectRefusal(result, "criu is not installed");
    expect((await container.state()).status).toBe("running");
  },
);

spec(
  "checkpoint --criu, a missing program: single-line error that names it",
  "promise",
  async (sandbox, context) => {
    if (!IS_RUNTS) context.skip("runc ignores the option since 1.1, crun has none");
    const container = await counting(sandbox);
    for (const [criu, words] of [
      [sandbox.path("missing/criu"), `start criu: execve ${sandbox.path("missing/criu")}`],
      ["no-such-criu", "no-such-criu is not installed"],
    ] as const) {
      const command = ["checkpoint", "--image-path", sandbox.path("images"), container.id];
      expectRefusal(await sandbox.invoke(["--criu", criu, ...command]), words);
      expect((await container.state()).status).toBe("running");
    }
  },
);

/** A fake criu that gives the same answer to each request. Returns its folder. */
function fakeCriu(sandbox: Sandbox, answer: readonly number[]): string {
  const folder = sandbox.path("old");
  mkdirSync(folder);
  const lines = [
    "#!/usr/bin/python3",
    "import socket, sys",
    "connection = socket.socket(fileno=int(sys.argv[2]))",
    `while connection.recv(9999): connection.send(bytes([${answer.join(", ")}]))`,
  ];
  writeFileSync(`${folder}/criu`, lines.join("\n"), { mode: 0o755 });
  return folder;
}

for (const [what, answer, words] of [
  ["that does not know its version", [0x08, 0, 0x10, 0], /criu is too old: version 3.0 or later is needed/],
  // criu_resp: VERSION, success, and a criu_version of 2.12.
  ["2.12", [0x08, 10, 0x10, 1, 0x52, 4, 0x08, 2, 0x10, 12], /version 3.0 or later is needed, this is 2.12/],
] as const) {
  spec(
    `checkpoint with criu ${what}: single-line error that says which version is needed`,
    "promise",
    async (sandbox, context) => {
      if (!IS_RUNTS) context.skip("a promise only of runts");
      const container = await counting(sandbox);
      const folder = fakeCriu(sandbox, answer);
      const result = await sandbox.invoke(
        ["checkpoint", "--image-path", sandbox.path("images"), container.id],
        {
          env: { PATH: `${folder}:/usr/bin:/bin` },
        },
      );
      expectRefusal(result, words);
      expect((await container.state()).status).toBe("running");
    },
  );
}

spec("features: lists checkpoint and restore as supported", "features.md; engines", async (sandbox) => {
  const features = parseObject((await sandbox.invoke(["features"])).stdout);
  expect(asObject(features.annotations)["org.opencontainers.runc.checkpoint.enabled"]).toBe("true");
});
