import { describe, expect, it } from "vitest";
import type { Config, Process } from "../../spec/types.ts";
import { completedProcess, type ExecOverrides, overriddenProcess } from "./process-overrides.ts";

const container: Process = {
  args: ["init"],
  cwd: "/work",
  terminal: true,
  consoleSize: { height: 24, width: 80 },
  env: ["PATH=/bin", "A=config"],
  user: { uid: 1000, gid: 2000, umask: 0o27, additionalGids: [10] },
  noNewPrivileges: false,
  oomScoreAdj: 7,
  capabilities: { bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"] },
};

function overridden(changes: Partial<ExecOverrides> = {}, process: Process = container): Process {
  const config: Config = { ociVersion: "1.3.0", root: { path: "rootfs" }, process };
  const none = { args: ["sh"], tty: false, env: [], additionalGids: [], capabilities: [] };
  return overriddenProcess(config, { ...none, ...changes });
}

describe("overriddenProcess", () => {
  it("changes only args and terminal if nothing else is asked for", () => {
    const { consoleSize: _size, ...rest } = container;
    expect(overridden()).toEqual({ ...rest, args: ["sh"], terminal: false });
  });

  it("runs as root in the root directory if the config has no process", () => {
    const config: Config = { ociVersion: "1.3.0", root: { path: "rootfs" } };
    const none = { tty: false, env: [], additionalGids: [], capabilities: [] };
    expect(overriddenProcess(config, { args: ["sh"], ...none })).toMatchObject({
      args: ["sh"],
      cwd: "/",
      user: {},
    });
  });

  it("gives a terminal only with --tty, without the size of init's", () => {
    expect(overridden({ tty: true })).toMatchObject({ terminal: true });
    expect(overridden({ tty: true })).not.toHaveProperty("consoleSize");
  });

  it("takes cwd and no_new_privs", () => {
    expect(overridden({ cwd: "/x", noNewPrivileges: true })).toMatchObject({
      cwd: "/x",
      noNewPrivileges: true,
    });
  });

  it("takes no_new_privs away only when told so", () => {
    const own = { ...container, noNewPrivileges: true };
    expect(overridden({}, own).noNewPrivileges).toBe(true);
    expect(overridden({ noNewPrivileges: false }, own).noNewPrivileges).toBe(false);
  });

  it("puts variables after those of the container, so that they win", () => {
    expect(overridden({ env: ["A=exec", "B="] }).env).toEqual(["PATH=/bin", "A=config", "A=exec", "B="]);
  });

  it.each([
    ["1", { uid: 1, gid: 2000 }],
    ["0", { uid: 0, gid: 2000 }],
    ["1:2", { uid: 1, gid: 2 }],
    ["4294967294:4294967294", { uid: 4_294_967_294, gid: 4_294_967_294 }],
  ])("reads --user %s", (user, expected) => {
    expect(overridden({ user }).user).toEqual({ umask: 0o27, additionalGids: [10], ...expected });
  });

  it.each([
    "",
    "x",
    "-1",
    "+1",
    "1x",
    " 1",
    "1 ",
    "0x1",
    "1e3",
    "1.0",
    ":",
    ":1",
    "1:",
    "1:x",
    "1:2:3",
    "4294967295",
  ])("refuses --user %j instead of root (CVE-2026-30892)", (user) => {
    expect(() => overridden({ user })).toThrow("--user");
  });

  it("adds groups, one by one or as a list", () => {
    expect(overridden({ additionalGids: ["20", "30,40"] }).user?.additionalGids).toEqual([10, 20, 30, 40]);
    expect(() => overridden({ additionalGids: ["wheel"] })).toThrow("--additional-gids");
  });

  it("adds capabilities to three sets, each once (CVE-2022-29162)", () => {
    const added = ["CAP_KILL", "CAP_NET_RAW"];
    expect(overridden({ capabilities: ["kill", "cap_net_raw"] }).capabilities).toEqual({
      bounding: added,
      effective: added,
      permitted: added,
    });
  });

  it("makes a capability ambient only if the container has it inheritable", () => {
    const capabilities = { inheritable: ["CAP_NET_RAW"], ambient: [] };
    const added = overridden({ capabilities: ["CAP_NET_RAW", "CAP_KILL"] }, { ...container, capabilities });
    expect(added.capabilities).toMatchObject({ inheritable: ["CAP_NET_RAW"], ambient: ["CAP_NET_RAW"] });
  });

  it.each([
    [{ args: [] }, "process args cannot be empty"],
    [{ cwd: "x" }, "must be an absolute path"],
    [{ env: ["A"] }, "NAME=value"],
    [{ env: ["=a"] }, "NAME=value"],
  ])("refuses %j", (changes, message) => {
    expect(() => overridden(changes)).toThrow(message);
  });
});

describe("completedProcess", () => {
  const own = {
    ...container,
    selinuxLabel: "s",
    apparmorProfile: "a",
    scheduler: { policy: "SCHED_IDLE" },
  } as const;
  const config: Config = { ociVersion: "1.3.0", root: { path: "rootfs" }, process: own };
  const given: Process = { args: ["sh"], cwd: "/" };

  it("takes capabilities, oom_score_adj and labels of the container, and nothing else", () => {
    const { capabilities, oomScoreAdj, selinuxLabel, apparmorProfile } = own;
    const lent = { capabilities, oomScoreAdj, selinuxLabel, apparmorProfile };
    expect(completedProcess(config, given)).toEqual({ ...given, ...lent });
  });

  it("keeps properties of the file, though they are empty", () => {
    const file = { ...given, capabilities: {}, oomScoreAdj: 0, selinuxLabel: "", apparmorProfile: "" };
    expect(completedProcess(config, file)).toEqual(file);
  });

  it("returns the file's process if the container has none", () => {
    expect(completedProcess({ ociVersion: "1.3.0", root: { path: "rootfs" } }, given)).toEqual(given);
  });
});
