import { spawn } from "node:child_process";
import type { Sandbox } from "../sandbox.ts";

const FILES = {
  network: "net",
  ipc: "ipc",
  uts: "uts",
  pid: "pid_for_children",
  cgroup: "cgroup",
  mount: "mnt",
} as const;
const FLAGS = {
  network: "--net",
  ipc: "--ipc",
  uts: "--uts",
  pid: "--pid",
  cgroup: "--cgroup",
  mount: "--mount",
} as const;

export type HeldType = keyof typeof FILES;

/** A command for pid 1 of a namespace: it reaps the orphans there. */
const REAPER =
  "exec python3 -c 'import signal,time; signal.signal(signal.SIGCHLD, signal.SIG_IGN); time.sleep(1000)'";

/** A process that holds a new namespace, and has done something in it before; the namespace's path. */
export async function held(sandbox: Sandbox, type: HeldType, before = "true"): Promise<string> {
  const fork = type === "pid" ? ["--fork", "--kill-child"] : [];
  const script = `${before}; echo ready; ${type === "pid" ? REAPER : "exec sleep 1000"}`;
  const child = spawn("unshare", [FLAGS[type], ...fork, "sh", "-c", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  sandbox.atEnd(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return `/proc/${String(child.pid)}/ns/${FILES[type]}`;
}
