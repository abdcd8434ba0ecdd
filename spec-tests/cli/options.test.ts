import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { succeed } from "../harness/container.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { IS_RUNTS } from "../harness/runtime.ts";
import { spec } from "../harness/spec.ts";

const OPTIONS_READ_LOOSELY =
  "create takes no options after the id, --rootless accepts any word, and --no-pivot any propagation";

const PRACTICE = "practice of runc and crun";

spec(
  "create, options after the id: accepted",
  "practice of crun (containers/crun#2)",
  async (sandbox) => {
    const container = sandbox.shell("sleep 1000");
    const file = sandbox.path("pid");
    succeed(
      "create",
      await sandbox.invoke(["create", container.id, "--bundle", container.bundle, "--pid-file", file]),
    );
    expect((await container.state()).status).toBe("created");
    succeed("delete", await sandbox.invoke(["delete", container.id, "--force"]));
  },
  { crun: OPTIONS_READ_LOOSELY },
);

spec(
  "create --no-subreaper: accepted, without effect",
  "practice of crun",
  async (sandbox) => {
    await sandbox.container().created({ flags: ["--no-subreaper"] });
  },
  { runc: "options of crun" },
);

// runc and crun make the container's folder in the host's root directory.
if (IS_RUNTS) {
  spec("--root /: error, nothing made", "practice of runc", async (sandbox) => {
    const { bundle, id } = sandbox.container();
    const result = await sandbox.invoke(["--root", "/", "create", "--bundle", bundle, id]);
    expectRefusal(result, inOurWords("--root"));
    expect(await sandbox.traces()).toEqual([]);
  });
}

spec(
  "--criu before any command: accepted",
  "practice of runc, for old engines",
  async (sandbox) => {
    const container = sandbox.shell("echo ran");
    expect(await container.output({ globals: ["--criu", "/no/such/criu"] })).toBe("ran\n");
  },
  { crun: "has no such option" },
);

spec(
  "--debug: logs the system calls that the filter leaves out, the result is the same",
  PRACTICE,
  async (sandbox) => {
    const container = sandbox.shell("echo ran", (config) => {
      const syscalls = [{ names: ["no_such_call"], action: "SCMP_ACT_ERRNO" }];
      config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls };
    });
    for (const [flags, expected] of [
      [["--debug"], /level=debug.*no_such_call/],
      [[], /^(?!.*no_such_call)/s],
    ] as const) {
      const log = sandbox.path(`log${flags.length}`);
      writeFileSync(log, "");
      expect(await container.output({ globals: [...flags, "--log", log] })).toBe("ran\n");
      expect(readFileSync(log, "utf8")).toMatch(expected);
    }
  },
  { crun: "the lines of --debug have another form and other content" },
);

for (const value of ["true", "false", "auto"]) {
  spec(`--rootless ${value}, as root: the container runs as usual`, "practice of runc", async (sandbox) => {
    expect(await sandbox.shell("echo ran").output({ globals: ["--rootless", value] })).toBe("ran\n");
  });
}

spec(
  "--rootless with another word: error",
  "practice of runc",
  async (sandbox) => {
    expectRefusal(
      await sandbox.container().create({ globals: ["--rootless", "maybe"] }),
      inOurWords("-rootless"),
    );
  },
  { crun: OPTIONS_READ_LOOSELY },
);

spec(
  "exec: runs no hooks",
  "runtime.md, Lifecycle: hooks belong to the container's steps",
  async (sandbox) => {
    const trace = sandbox.path("trace");
    writeFileSync(trace, "");
    const hook = { path: "/bin/sh", args: ["sh", "-c", `echo hook >> ${trace}`] };
    const container = sandbox.shell("sleep 1000", (config) => {
      config.hooks = { createRuntime: [hook], poststart: [hook], poststop: [hook] };
    });
    await container.started();
    writeFileSync(trace, "");
    succeed("exec", await container.exec(["true"]));
    expect(readFileSync(trace, "utf8")).toBe("");
  },
);
