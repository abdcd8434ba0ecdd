import { withPurpose } from "../../../bindings/ffi/purpose.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { receiveDescriptor } from "../../../bindings/linux/receive-descriptor.ts";
import { channelPair, sendWithDescriptors } from "../../../bindings/stub/client.ts";
import { inNetworkOf, type Joined } from "../../init/network-of.ts";
import { checkMaster } from "./foreground.ts";

/** The master's way out of a container: over a socket of the container's own, so that nobody in there gets the receiver's. */
export interface TerminalHandover {
  /** For the process that opens the terminal. */
  readonly socket: number;
  /** Passes the master on, once it is there and is one. The name is what receivers of --console-socket expect. */
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
