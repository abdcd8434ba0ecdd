import { syscall } from "../../../bindings/ffi/syscall.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { connectUnix } from "../../../bindings/linux/unix-socket.ts";
import { sendWithDescriptors } from "../../../bindings/stub/client.ts";
import { onBehalfOf } from "../../init/run-program.ts";

/** Somebody who waits for a pidfd of a process: the other end of `--pidfd-socket`. */
export interface PidfdReceiver {
  /** `message` is what runc sends along: `standard` for a container's init, `setns` for a process of `exec`. */
  send(pid: number, message: "standard" | "setns"): void;
  /** May be called again, and after sending. */
  close(): void;
}

/** The descriptor goes by SCM_RIGHTS, unix(7), beside a message that says whose it is. */
export function openPidfdReceiver(path: string): PidfdReceiver {
  const socket = new OwnedDescriptor(
    onBehalfOf("", `connect to the pidfd socket ${path}`, () => connectUnix(path)),
  );
  return {
    send: (pid, message) =>
      onBehalfOf("", `send a pidfd to ${path}`, () => {
        // The process is a child that nobody has waited for: it is this one, even if it has ended.
        const pidfd = new OwnedDescriptor(syscall("pidfd_open", [pid, 0], [String(pid)]));
        try {
          sendWithDescriptors(socket.number, new TextEncoder().encode(message), [pidfd.number]);
        } finally {
          pidfd.close();
          socket.close();
        }
      }),
    close: () => socket.close(),
  };
}
