import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseObject } from "./json.ts";
import type { Sandbox } from "./sandbox.ts";

export interface PidfdReceiver {
  /** Path for --pidfd-socket. */
  readonly socket: string;
  /** What came over the socket: message, fds, pid. */
  received(): Promise<Record<string, unknown>>;
  /** Sends a signal to the process by the descriptor. */
  signal(number: number): Promise<void>;
}

/** Listens for a pidfd. Node can't receive descriptors, so a small Python program does it. */
export async function openPidfdReceiver(sandbox: Sandbox): Promise<PidfdReceiver> {
  const socket = sandbox.path("pidfd.sock");
  const child = spawn("python3", [join(import.meta.dirname, "pidfd-receiver.py"), socket], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  sandbox.atEnd(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  return {
    socket,
    received: async () => {
      const limit = sleep(20_000, undefined, { ref: false }).then(() => {
        throw new Error("no pidfd came");
      });
      return parseObject(String((await Promise.race([lines.next(), limit])).value));
    },
    signal: async (number) => {
      child.stdin.write(`${number}\n`);
      await lines.next();
    },
  };
}
