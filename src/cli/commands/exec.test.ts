import { join } from "node:path";
import { expect, it } from "vitest";
import { parsed } from "../parsed.test-support.ts";
import { execCommand, execOptionsFrom } from "./exec.ts";

function exec(...argv: string[]) {
  const { positionals, options } = parsed(execCommand, ...argv);
  const [id, ...command] = positionals;
  return execOptionsFrom(id, command, options);
}

it("leaves out what is not given, so that the container's process decides", () => {
  expect(exec("box", "true")).toEqual({
    id: "box",
    preserveFds: 0,
    ignorePaused: false,
    overrides: { args: ["true"], tty: false, env: [], additionalGids: [], capabilities: [] },
  });
});

it("takes all options, and makes paths absolute", () => {
  const paths = ["-p", "process.json", "--console-socket", "/run/c", "--pidfd-socket", "s", "--pid-file=pid"];
  const lists = ["-e", "A=1", "--env", "B=2", "-g", "7", "-c", "CAP_KILL"];
  const texts = [
    "--cwd",
    "/w",
    "-u",
    "1:2",
    "--process-label",
    "u:r:t:s0",
    "--apparmor=p",
    "--cgroup",
    "sub",
  ];
  const flags = ["-t", "--ignore-paused", "--no-new-privs=false", "--preserve-fds=3"];
  expect(exec(...paths, ...lists, ...texts, ...flags, "box", "sh", "-c", "x")).toEqual({
    id: "box",
    processFile: join(process.cwd(), "process.json"),
    consoleSocket: "/run/c",
    pidfdSocket: join(process.cwd(), "s"),
    pidFile: join(process.cwd(), "pid"),
    cgroup: "sub",
    preserveFds: 3,
    ignorePaused: true,
    overrides: {
      args: ["sh", "-c", "x"],
      tty: true,
      cwd: "/w",
      env: ["A=1", "B=2"],
      user: "1:2",
      additionalGids: ["7"],
      capabilities: ["CAP_KILL"],
      selinuxLabel: "u:r:t:s0",
      apparmorProfile: "p",
      noNewPrivileges: false,
    },
  });
});

it("tells --detach from the options of the command", () => {
  expect(parsed(execCommand, "-d", "box", "sh").options.detach).toBe(true);
  expect(parsed(execCommand, "box", "sh", "-d").options.detach).toBe(false);
});
