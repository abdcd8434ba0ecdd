import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { receiveDescriptor } from "../../../bindings/linux/receive-descriptor.ts";
import { channelPair, sendWithDescriptors } from "../../../bindings/stub/client.ts";
import { inNetworkOf, type Joined } from "../../init/network-of.ts";
import { checkMaster } from "./foreground.ts";

/** Passes a master out of a container by a socket of the container's network namespace, so that nobody in there gets the receiver's socket. */
export interface TerminalHandover {
  /** End of the process that opens the terminal. */
  readonly socket: number;
  /** Receives the master, checks it, and sends it on. Receivers of --console-socket expect the name that is sent with it. */
  passTo(receiver: number): void;
  close(): void;
}

export function terminalHandover(joined: Joined): TerminalHandover {
  const [ours, theirs] = inNetworkOf(joined, channelPair);
  return {
    socket: theirs,
    passTo: (receiver) => {
      const master = receiveDescriptor(ours);
      checkMaster(master);
      try {
        withPurpose("/process/terminal", "pass the terminal's master on", () =>
          sendWithDescriptors(receiver, new TextEncoder().encode("/dev/ptmx"), [master]),
        );
      } finally {
        closeSync(master);
      }
    },
    close: () => {
      for (const fd of [ours, theirs]) closeSync(fd);
    },
  };
}
