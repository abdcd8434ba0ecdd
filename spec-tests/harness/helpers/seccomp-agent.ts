import { parseObject } from "../json.ts";
import type { Sandbox } from "../sandbox.ts";
import { startPython } from "./python-program.ts";

export interface SeccompAgent {
  /** Path for listenerPath. */
  readonly socket: string;
  /** The records so far, one for each connection and each answered call. */
  readonly records: readonly Readonly<Record<string, unknown>>[];
  /** The connections among the records. */
  connections(): readonly Readonly<Record<string, unknown>>[];
}

/** Listens for seccomp listeners as an agent does (seccomp-agent.py says how it answers). */
export async function openSeccompAgent(sandbox: Sandbox): Promise<SeccompAgent> {
  const socket = sandbox.path("agent.sock");
  const agent = startPython(sandbox, "seccomp-agent.py", socket);
  await agent.next();
  const records: Record<string, unknown>[] = [];
  agent.lines.on("line", (line) => records.push(parseObject(line)));
  sandbox.settle();
  return { socket, records, connections: () => records.filter(({ message }) => message !== undefined) };
}
