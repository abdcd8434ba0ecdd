import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { connectUnix } from "../../../bindings/linux/unix-socket.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import type { ConsoleSize, Process } from "../../spec/types.ts";

/** Who gets the master of the container's terminal. */
export interface TerminalReceiver {
  /** The runtime's copy, closed once the master is on its way, or when it never will be. */
  readonly socket: OwnedDescriptor;
  /** Of the caller's own terminal, where that is on the other side. */
  readonly size?: ConsoleSize | undefined;
  /** Called when the master is on its way. */
  readonly connected?: () => void;
}

/** A terminal needs somebody to hand it to, and somebody who waits for one needs a terminal: runc's rules and words. */
export function terminalReceiver(
  { terminal }: Process,
  consoleSocket: string | undefined,
  openTerminal: (() => TerminalReceiver) | undefined,
): TerminalReceiver | undefined {
  const pointer = "/process/terminal";
  const foreground = openTerminal !== undefined;
  if (consoleSocket !== undefined && (terminal !== true || foreground)) {
    throw new RuntsError(`${pointer}: cannot use console socket if runts will not detach or allocate tty`, {
      pointer,
    });
  }
  if (terminal !== true) return undefined;
  if (openTerminal !== undefined) return openTerminal();
  if (consoleSocket === undefined) {
    throw new RuntsError(
      `${pointer}: cannot allocate tty if runts will detach without setting console socket`,
      { pointer },
    );
  }
  const purpose = `connect to the console socket ${consoleSocket}`;
  return { socket: new OwnedDescriptor(onBehalfOf(pointer, purpose, () => connectUnix(consoleSocket))) };
}
