import type { Process } from "../spec/types.ts";
import type { PidfdReceiver } from "./pidfd-socket.ts";
import { type TerminalReceiver, terminalReceiver } from "./terminal-receiver.ts";

/** Who waits for something of a new process. */
export interface Receivers {
  readonly terminal: TerminalReceiver | undefined;
  readonly pidfd: PidfdReceiver | undefined;
  /** Lets those go who have got nothing, since the process has failed. May be called again. */
  close(): void;
}

export interface ReceiverOptions {
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
}

/** Connects before anything is made. */
export async function connectReceivers(
  process: Process,
  { consoleSocket, pidfdSocket }: ReceiverOptions,
  openTerminal: (() => Promise<TerminalReceiver>) | undefined,
): Promise<Receivers> {
  const terminal = await terminalReceiver(process, consoleSocket, openTerminal);
  try {
    const pidfd = pidfdSocket === undefined ? undefined : await connectPidfdReceiver(pidfdSocket);
    return {
      terminal,
      pidfd,
      close: () => {
        terminal?.socket.close();
        pidfd?.close();
      },
    };
  } catch (error) {
    terminal?.socket.close();
    throw error;
  }
}

/** What this takes is loaded only where it is asked for. */
async function connectPidfdReceiver(path: string): Promise<PidfdReceiver> {
  const { openPidfdReceiver } = await import("./pidfd-socket.ts");
  return openPidfdReceiver(path);
}
