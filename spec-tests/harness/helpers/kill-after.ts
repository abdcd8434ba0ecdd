import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

/** Kills a command after some time, and waits for its end. Returns whether it had not ended before. */
export async function killAfter(child: ChildProcess, milliseconds: number): Promise<boolean> {
  const ended = once(child, "exit");
  await sleep(milliseconds);
  child.kill("SIGKILL");
  await ended;
  return child.signalCode === "SIGKILL";
}
