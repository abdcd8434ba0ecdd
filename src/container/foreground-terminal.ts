import { closeSync } from "../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../bindings/linux/owned-descriptor.ts";
import type { ConsoleRelay } from "./console-relay.ts";
import type { TerminalReceiver } from "./terminal-receiver.ts";

const STDIN = 0;

/** The runtime itself as the other end of a terminal: the master comes over a socket pair, where else a console socket gets it. */
export function foregroundTerminal(): {
  open: () => Promise<TerminalReceiver>;
  relay: () => ConsoleRelay | undefined;
} {
  let relay: ConsoleRelay | undefined;
  return {
    relay: () => relay,
    open: async () => {
      const { channelPair } = await import("../../bindings/stub/client.ts");
      const { windowSize } = await import("../../bindings/linux/terminal.ts");
      const [ours, theirs] = channelPair();
      return {
        socket: new OwnedDescriptor(theirs),
        size: windowSize(STDIN),
        connected: async () => {
          const { receiveDescriptor } = await import("../../bindings/linux/receive-descriptor.ts");
          const { ConsoleRelay } = await import("./console-relay.ts");
          relay = new ConsoleRelay(receiveDescriptor(ours));
          closeSync(ours);
        },
      };
    },
  };
}
