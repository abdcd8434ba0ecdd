import { O_CLOEXEC, O_NONBLOCK, O_PATH, O_RDWR, O_WRONLY } from "../../../bindings/abi/fcntl.ts";
import { fstatSync } from "../../../bindings/linux/file-status.ts";
import { closeSync, openSync } from "../../../bindings/linux/files.ts";
import { watchOpens } from "../../../bindings/linux/inotify.ts";
import { OwnedDescriptor } from "../../../bindings/linux/owned-descriptor.ts";
import { errorCode, RuntsError } from "../../errors.ts";
import { onBehalfOf } from "../../init/run-program.ts";
import type { WaitFifo } from "../../plan/process/exec.ts";

/** The fifo of `exec --exec-wait-fifo`, open for the process that waits for its reader. */
export interface OpenWaitFifo extends WaitFifo<number> {
  /** Closes the runtime's copies. */
  close(): void;
}

/**
 * Opens the fifo for the process. The process can't open it by itself: a path of the host means nothing in the container, and the open(2)
 * of /proc/self/fd would depend on the container's /proc. It gets the fifo open for writing, and a watch that tells when somebody opens it,
 * inotify(7). Both lead to nothing else of the host.
 */
export function openWaitFifo(path: string): OpenWaitFifo {
  return onBehalfOf("", `open --exec-wait-fifo ${path}`, () => {
    const fifo = new OwnedDescriptor(openSync(path, O_PATH | O_CLOEXEC));
    try {
      if (!fstatSync(fifo.number).isFIFO())
        throw new RuntsError(`--exec-wait-fifo ${path}: is not a fifo`, { operation: "exec", path });
      return opened(`/proc/self/fd/${fifo.number}`);
    } finally {
      fifo.close();
    }
  });
}

function opened(fifo: string): OpenWaitFifo {
  const writer = new OwnedDescriptor(openWriter(fifo));
  try {
    const watch = new OwnedDescriptor(watchOpens(fifo));
    try {
      tellOfReader(fifo);
    } catch (error) {
      watch.close();
      throw error;
    }
    return {
      writer: writer.number,
      watch: watch.number,
      close: () => {
        writer.close();
        watch.close();
      },
    };
  } catch (error) {
    writer.close();
    throw error;
  }
}

/** Without a reader, an open for writing waits: fifo(7). So the runtime reads for the moment. */
function openWriter(fifo: string): number {
  const reader = openSync(fifo, O_RDWR | O_NONBLOCK);
  try {
    return openSync(fifo, O_WRONLY);
  } finally {
    closeSync(reader);
  }
}

/** A reader may be there already. Then this open succeeds, and is the event that the process waits for. */
function tellOfReader(fifo: string): void {
  try {
    closeSync(openSync(fifo, O_WRONLY | O_NONBLOCK));
  } catch (error) {
    if (errorCode(error) !== "ENXIO") throw error;
  }
}
