import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { openConsole } from "../harness/helpers/console.ts";
import { NO_PEER, ONE_DIRECTORY, runningProbe, withProbe, withRules } from "../harness/helpers/landlock.ts";
import { rootlessShell } from "../harness/host/user.ts";
import { parseObject } from "../harness/json.ts";
import { expectRefusal } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

/** Processes that join the container have its rules: those of `exec`, and hooks in it. */

const CLAUSE = "promise: docs/landlock.md";

spec(
  "exec in a container with Landlock rules: the process has the same rules",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox);
    const probe = async (...words: string[]) => (await container.exec(["/probe", ...words])).stdout;
    expect(await probe("write_file", "/allowed", "/denied")).toBe(
      "write_file /allowed: ok\nwrite_file /denied: EACCES\n",
    );
    expect(await probe("bind", "4001")).toBe("bind 4001: EACCES\n");
  },
  NO_PEER,
);

spec(
  "exec in a container with Landlock rules: the process has a domain of its own, and reaches init by no signal and no ptrace",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox);
    expect((await container.exec(["/probe", "signal", "1"])).stdout).toBe("signal 1: EPERM\n");
    const withPtrace = await container.exec(["/probe", "trace", "1"], { flags: ["--cap", "CAP_SYS_PTRACE"] });
    expect(withPtrace.stdout).toBe("trace 1: EPERM\n");
  },
  NO_PEER,
);

spec(
  "exec --process without noNewPrivileges in a container with Landlock rules: error that names it",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox);
    const file = sandbox.path("process.json");
    writeFileSync(file, JSON.stringify({ cwd: "/", args: ["true"], noNewPrivileges: false }));
    expectRefusal(
      await container.exec([], { flags: ["--process", file] }),
      "/process/noNewPrivileges: must be true, as the container has Landlock rules",
      255,
    );
  },
  NO_PEER,
);

spec(
  "run with a startContainer hook and Landlock rules: the hook has the same rules",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, (config) => {
      withRules(ONE_DIRECTORY)(config);
      const script = "/probe write_file /allowed /denied > /allowed/seen";
      config.hooks = { startContainer: [{ path: "/bin/sh", args: ["sh", "-c", script] }] };
      config.process.args = ["cat", "/allowed/seen"];
    });
    container.writeFile("allowed/seen", "");
    expect(await container.output()).toBe("write_file /allowed: ok\nwrite_file /denied: EACCES\n");
  },
  NO_PEER,
);

spec(
  "rootless run and exec with Landlock rules: the rules are in force",
  CLAUSE,
  async (sandbox) => {
    const container = rootlessShell(sandbox, "sleep 1000", (config) => {
      withRules({
        handledAccess: { handledAccessFS: ["make_dir"] },
        rules: { pathBeneath: [{ allowedAccess: ["make_dir"], paths: ["/tmp"] }] },
      })(config);
      config.root.readonly = false;
    });
    await container.started();
    const script = "mkdir /tmp/new && echo made; mkdir /mnt/new";
    const { stdout, stderr } = await container.exec(["sh", "-c", script]);
    expect(stdout).toBe("made\n");
    expect(stderr).toContain("can't create directory '/mnt/new': Permission denied");
  },
  NO_PEER,
);

spec(
  "exec --tty in a container with Landlock rules: the terminal works without ioctl_dev",
  CLAUSE,
  async (sandbox) => {
    const container = await runningProbe(sandbox, { handledAccess: { handledAccessFS: ["ioctl_dev"] } });
    const terminal = await openConsole(sandbox);
    const flags = ["--tty", "--detach", "--console-socket", terminal.socket];
    const { code, stderr } = await container.exec(["sh", "-c", "stty -echo && echo changed"], { flags });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(await terminal.output()).toBe("changed\r\n");
  },
);

spec(
  "exec in a container without process that has Landlock rules: it has the rules, and needs noNewPrivileges",
  CLAUSE,
  async (sandbox) => {
    const container = withProbe(sandbox, withRules(ONE_DIRECTORY));
    const file = join(container.bundle, "config.json");
    const { process: own, ...config } = parseObject(readFileSync(file, "utf8"));
    expect(own).toMatchObject({ noNewPrivileges: true });
    writeFileSync(file, JSON.stringify(config));
    await container.created();
    const execute = (noNewPrivileges: boolean) => {
      const processFile = sandbox.path("process.json");
      const args = ["/probe", "write_file", "/allowed", "/denied"];
      writeFileSync(processFile, JSON.stringify({ args, cwd: "/", noNewPrivileges }));
      return container.exec([], { flags: ["--process", processFile] });
    };
    expect((await execute(true)).stdout).toBe("write_file /allowed: ok\nwrite_file /denied: EACCES\n");
    const { code, stderr } = await execute(false);
    expect(code).not.toBe(0);
    expect(stderr).toContain(
      "/process/noNewPrivileges: must be true, as the container has Landlock rules (/annotations/run.runts.landlock)",
    );
  },
  NO_PEER,
);
