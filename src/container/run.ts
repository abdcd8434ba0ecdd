import { closeSync } from "node:fs";
import { PR_SET_CHILD_SUBREAPER } from "../../bindings/abi/prctl.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import type { ConsoleRelay } from "./console-relay.ts";
import { createContainer } from "./create.ts";
import { deleteContainer } from "./delete.ts";
import { Foreground } from "./foreground.ts";
import type { Context, RunOptions } from "./options.ts";
import { startContainer } from "./start.ts";

/**
 * Creates and starts a container. In the foreground it waits for the end of init, passing signals on, deletes the container and
 * returns the exit code as a shell would: 128 and the number for a signal.
 */
export async function runContainer(context: Context, options: RunOptions): Promise<number> {
  if (options.detach) {
    await createContainer(context, options);
    await startOrDelete(context, options.id);
    return 0;
  }
  if (!options.noSubreaper)
    syscall("prctl", [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0], ["PR_SET_CHILD_SUBREAPER"]);
  const { state, relay } = await createInForeground(context, options);
  const foreground = new Foreground(state.pid, relay);
  try {
    foreground.forwardSignals();
    await startOrDelete(context, options.id);
    return await foreground.wait();
  } finally {
    foreground.close();
    if (!options.keep) await deleteContainer(context, options.id, { force: true });
  }
}

/** The terminal's master comes over a socket pair of our own, where otherwise a console socket would get it. */
async function createInForeground(context: Context, options: RunOptions) {
  let relay: ConsoleRelay | undefined;
  const state = await createContainer(context, options, async () => {
    const { channelPair } = await import("../../bindings/stub/client.ts");
    const [ours, theirs] = channelPair();
    return {
      socket: theirs,
      connected: async () => {
        const { receiveDescriptor } = await import("../../bindings/linux/receive-descriptor.ts");
        const { ConsoleRelay } = await import("./console-relay.ts");
        relay = new ConsoleRelay(receiveDescriptor(ours));
        closeSync(ours);
      },
    };
  });
  return { state, relay };
}

/** What a failed start leaves is nobody's to delete: the caller never had a container. */
async function startOrDelete(context: Context, id: string): Promise<void> {
  try {
    await startContainer(context, id);
  } catch (error) {
    await deleteContainer(context, id, { force: true });
    throw error;
  }
}
