import { syscall } from "../../../bindings/ffi/syscall.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { connectUnix } from "../../../bindings/linux/unix-socket.ts";
import { sendWithDescriptors } from "../../../bindings/stub/client.ts";
import { RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import { type AllowedAnnotations, annotationPointer } from "../../spec/annotations.ts";
import type { ConsoleSize, Process } from "../../spec/types.ts";

/** Those who wait for the terminal or the pidfd of a new process. */
export interface Receivers {
  readonly terminal: TerminalReceiver | undefined;
  readonly pidfd: PidfdReceiver | undefined;
  /** Closes the connections that are still open: nothing was sent by them, since the process has failed. May be called again. */
  close(): void;
}

export interface ReceiverOptions {
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
  /** Of a container that is being made: crun's annotation names a socket for the pidfd, too. */
  readonly allowed?: AllowedAnnotations;
}

/** Connects before anything is made. */
export function connectReceivers(
  process: Process,
  { consoleSocket, pidfdSocket, allowed = {} }: ReceiverOptions,
  openTerminal: (() => TerminalReceiver) | undefined,
): Receivers {
  const terminal = terminalReceiver(process, consoleSocket, openTerminal);
  try {
    const annotated = allowed["run.oci.pidfd_receiver"];
    const wantsPidfd = pidfdSocket !== undefined || annotated !== undefined;
    const pidfd = wantsPidfd ? pidfdReceiver(pidfdSocket, annotated) : undefined;
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

/** Receives the master of the container's terminal. */
export interface TerminalReceiver {
  /** The runtime's copy, closed once the master is on its way, or when it never will be. */
  readonly socket: OwnedDescriptor;
  /** Size of the caller's own terminal, if that is the other end. */
  readonly size?: ConsoleSize | undefined;
  /** Called when the master is on its way. */
  readonly connected?: () => void;
}

/** A terminal needs a receiver, and a receiver needs a terminal: runc's rules and messages. */
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

/** Those who wait for a pidfd: the one that the command line names, and the one that an annotation names. */
function pidfdReceiver(option: string | undefined, annotation: string | undefined): PidfdReceiver {
  const receivers: PidfdReceiver[] = [];
  const close = () => {
    for (const receiver of receivers) receiver.close();
  };
  try {
    if (option !== undefined) receivers.push(openPidfdReceiver(option, "", undefined));
    // The byte that crun sends along.
    const pointer = annotationPointer("run.oci.pidfd_receiver");
    if (annotation !== undefined) receivers.push(openPidfdReceiver(annotation, pointer, " "));
  } catch (error) {
    close();
    throw error;
  }
  return {
    send: (pid, message) => {
      for (const receiver of receivers) receiver.send(pid, message);
    },
    close,
  };
}

/** The other end of `--pidfd-socket`, which waits for a pidfd of a process. */
export interface PidfdReceiver {
  /** `message` is what runc sends along: `standard` for a container's init, `setns` for a process of `exec`. */
  send(pid: number, message: "standard" | "setns"): void;
  /** May be called again, and after sending. */
  close(): void;
}

/** The pidfd is sent by SCM_RIGHTS, unix(7), with a message that says whose it is, or with another one. */
function openPidfdReceiver(path: string, pointer: string, otherMessage: string | undefined): PidfdReceiver {
  const socket = new OwnedDescriptor(
    onBehalfOf(pointer, `connect to the pidfd socket ${path}`, () => connectUnix(path)),
  );
  return {
    send: (pid, message) =>
      onBehalfOf(pointer, `send a pidfd to ${path}`, () => {
        // The process is a child that is not reaped yet: the pid is still its own, even if it has ended.
        const pidfd = new OwnedDescriptor(syscall("pidfd_open", [pid, 0], [String(pid)]));
        try {
          sendWithDescriptors(socket.number, new TextEncoder().encode(otherMessage ?? message), [
            pidfd.number,
          ]);
        } finally {
          pidfd.close();
          socket.close();
        }
      }),
    close: () => socket.close(),
  };
}
