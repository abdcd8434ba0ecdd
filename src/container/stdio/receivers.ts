import type { Process } from "../../spec/types.ts";
import { openPidfdReceiver, type PidfdReceiver } from "./pidfd-socket.ts";
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
export function connectReceivers(
  process: Process,
  { consoleSocket, pidfdSocket }: ReceiverOptions,
  openTerminal: (() => TerminalReceiver) | undefined,
): Receivers {
  const terminal = terminalReceiver(process, consoleSocket, openTerminal);
  try {
    const pidfd = pidfdSocket === undefined ? undefined : openPidfdReceiver(pidfdSocket);
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
