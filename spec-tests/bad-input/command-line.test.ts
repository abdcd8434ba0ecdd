import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { withOpen } from "../harness/helpers/descriptors.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const CLAUSE = "runtime.md, Operations";

for (const [situation, args] of [
  ["create without an id", ["create"]],
  ["run without an id", ["run"]],
  ["unknown command", ["no-such-command"]],
  ["init, an internal command of runc", ["init"]],
  ["unknown global option", ["--no-such-option", "list"]],
  ["create with an unknown option", ["create", "--no-such-option", "x"]],
  ["create with two ids", ["create", "a", "b"]],
  ["state with two ids", ["state", "a", "b"]],
] as const) {
  spec(`${situation}: error, nothing made`, CLAUSE, async (sandbox) => {
    const result = await sandbox.invoke([...args], { cwd: sandbox.container().bundle });
    expect(result.code).not.toBe(0);
    expect(result.stdout + result.stderr).not.toBe("");
    expect(await sandbox.traces()).toEqual([]);
  });
}

spec("create, bundle missing: error, nothing left", CLAUSE, async (sandbox) => {
  expectRefusal(
    await sandbox.invoke(["create", "--bundle", sandbox.path("missing"), `${sandbox.tag}x`]),
    /missing|config\.json/,
  );
  expect(await sandbox.traces()).toEqual([]);
});

spec("create, a file as bundle: error, nothing left", CLAUSE, async (sandbox) => {
  writeFileSync(sandbox.path("file"), "");
  expectRefusal(
    await sandbox.invoke(["create", "--bundle", sandbox.path("file"), `${sandbox.tag}x`]),
    inOurWords("config.json: not a directory"),
  );
  expect(await sandbox.traces()).toEqual([]);
});

spec(
  "create --preserve-fds 100000 with descriptor 3 closed: single-line error, nothing left",
  "promise: clear errors",
  async (sandbox) => {
    const result = await sandbox
      .container()
      .create({ wrapper: withOpen({}), flags: ["--preserve-fds", "100000"] });
    expectRefusal(result, inOurWords("file descriptor 3 is not open"));
    expect(await sandbox.traces()).toEqual([]);
  },
  {
    crun: "skips any number of closed descriptors, those of LISTEN_FDS as well",
    runc: { reason: "leaves the directory of the container", from: "1.3" },
  },
);

spec(
  "create, pid file cannot be written: error, nothing left",
  "practice of runc and crun",
  async (sandbox) => {
    writeFileSync(sandbox.path("file"), "");
    expectRefusal(
      await sandbox.container().create({ flags: ["--pid-file", sandbox.path("file/pid")] }),
      inOurWords("write the pid file: "),
    );
    expect(await sandbox.traces()).toEqual([]);
  },
);

for (const command of ["create", "run"]) {
  spec(
    `${command} --pid-file in a missing folder: error, the folder is not made, nothing left`,
    "practice of runc and crun",
    async (sandbox) => {
      const { id, bundle } = sandbox.container();
      const flags = ["--bundle", bundle, "--pid-file", sandbox.path("none/pid")];
      expectRefusal(await sandbox.invoke([command, ...flags, id]), /no such file or directory/i);
      expect(existsSync(sandbox.path("none"))).toBe(false);
      expect(await sandbox.traces()).toEqual([]);
    },
  );
}

spec(
  "any command, --log in a missing folder: error, the folder is not made, nothing is done",
  "practice of runc and crun",
  async (sandbox) => {
    const { id, bundle } = sandbox.container();
    for (const args of [["create", "--bundle", bundle, id], ["state", id], ["list"], ["exec", id, "true"]]) {
      const result = await sandbox.invoke(["--log", sandbox.path("none/log"), ...args]);
      expectRefusal(result, /no such file or directory/i);
      expect(result.stderr).toContain("none/log");
    }
    expect(existsSync(sandbox.path("none"))).toBe(false);
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "create as an ordinary user with root's state: error about permission, nothing left",
  "promise: no permission",
  async (sandbox) => {
    mkdirSync(sandbox.root, { mode: 0o700 });
    const wrapper = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "--"];
    const result = await sandbox.container().create({ wrapper });
    expectRefusal(result, IS_RUNTS ? /permission denied|not permitted/i : undefined);
    expect(await sandbox.traces()).toEqual([]);
  },
);

spec(
  "state as an ordinary user with root's state: error about permission",
  "promise: no permission",
  async (sandbox) => {
    mkdirSync(sandbox.root, { mode: 0o700 });
    const wrapper = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "--"];
    expectRefusal(
      await sandbox.invoke(["state", `${sandbox.tag}x`], { wrapper }),
      inOurWords("permission denied"),
    );
  },
);
