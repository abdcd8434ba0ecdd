import { knownStatus } from "../../../bindings/linux/file-status.ts";
import { closeSync } from "../../../bindings/linux/files.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { receiveDescriptor } from "../../../bindings/linux/receive-descriptor.ts";
import { windowSize } from "../../../bindings/linux/terminal.ts";
import { channelPair } from "../../../bindings/stub/client.ts";
import { RuntsError } from "../../errors.ts";
import { ConsoleRelay } from "./console-relay.ts";
import type { TerminalReceiver } from "./terminal-receiver.ts";

const STDIN = 0;
/** makedev(5, 2): /dev/ptmx, and the ptmx of each devpts. pts(4) */
const PTMX = 0x502;

/** The runtime itself as the other end of a terminal: the master comes over a socket pair, where else a console socket gets it. */
export function foregroundTerminal(): {
  open: () => TerminalReceiver;
  relay: () => ConsoleRelay | undefined;
} {
  let relay: ConsoleRelay | undefined;
  return {
    relay: () => relay,
    open: () => {
      const [ours, theirs] = channelPair();
      return {
        socket: new OwnedDescriptor(theirs),
        size: windowSize(STDIN),
        connected: () => {
          const master = receiveDescriptor(ours);
          closeSync(ours);
          checkMaster(master);
          relay = new ConsoleRelay(master);
        },
      };
    },
  };
}

/** The stub sends it from within the container: whatever came, the runtime is going to read from it and to write to it. */
export function checkMaster(fd: number): void {
  const status = knownStatus(fd);
  if (status.isCharacterDevice() && status.rdev === PTMX) return;
  closeSync(fd);
  const pointer = "/process/terminal";
  throw new RuntsError(`${pointer}: what the container has sent is no terminal's master`, {
    operation: "recvmsg",
    errno: "EPROTO",
    pointer,
  });
}
