import { setTimeout as sleep } from "node:timers/promises";
import { parseObject } from "../json.ts";
import type { Sandbox } from "../sandbox.ts";
import { startPython } from "./python-program.ts";

export interface PidfdReceiver {
  /** Path for --pidfd-socket. */
  readonly socket: string;
  /** The message received over the socket: message, fds, pid. */
  received(): Promise<Record<string, unknown>>;
  /** Sends a signal to the process by the descriptor. */
  signal(number: number): Promise<void>;
}

/** Listens for a pidfd, as a supervisor does. */
export async function openPidfdReceiver(sandbox: Sandbox): Promise<PidfdReceiver> {
  const socket = sandbox.path("pidfd.sock");
  const receiver = startPython(sandbox, "pidfd-receiver.py", socket);
  await receiver.next();
  return {
    socket,
    received: async () => {
      const limit = sleep(20_000, undefined, { ref: false }).then(() => {
        throw new Error("no pidfd came");
      });
      return parseObject(await Promise.race([receiver.next(), limit]));
    },
    signal: async (number) => {
      receiver.stdin.write(`${number}\n`);
      await receiver.next();
    },
  };
}
