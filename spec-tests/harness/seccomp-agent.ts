import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseObject } from "./json.ts";
import type { Sandbox } from "./sandbox.ts";

export interface SeccompAgent {
  /** Path for listenerPath. */
  readonly socket: string;
  /** What has been written so far, one record for each connection and each answered call. */
  readonly records: readonly Readonly<Record<string, unknown>>[];
  /** The connections among the records. */
  connections(): readonly Readonly<Record<string, unknown>>[];
}

/** Listens for seccomp listeners as an agent does (seccomp-agent.py says how it answers). */
export async function openSeccompAgent(sandbox: Sandbox): Promise<SeccompAgent> {
  const socket = sandbox.path("agent.sock");
  const child = spawn("python3", [join(import.meta.dirname, "seccomp-agent.py"), socket], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  sandbox.atEnd(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const records: Record<string, unknown>[] = [];
  const lines = createInterface({ input: child.stdout });
  await new Promise<void>((resolve) => lines.once("line", () => resolve()));
  lines.on("line", (line) => records.push(parseObject(line)));
  sandbox.settle();
  return { socket, records, connections: () => records.filter(({ message }) => message !== undefined) };
}
