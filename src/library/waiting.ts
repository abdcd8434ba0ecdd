import { DescriptorWatch } from "../../bindings/linux/descriptor-watch.ts";
import { closeSync } from "../../bindings/linux/files.ts";
import { pidfdOpen } from "../../bindings/linux/pidfd.ts";
import { type ExitStatus, reapChild } from "../container/exit-status.ts";
import { RuntsError } from "../errors.ts";

const watch = new DescriptorWatch();

/** Waits until a descriptor can be read, without a thread of its own. */
export const waitFor = (fd: number) => watch.wait(fd);

/** Waits for the end of a child of this process, and reaps it. The event loop goes on meanwhile, and lives as long. */
export async function exitOf(pid: number): Promise<ExitStatus> {
  const pidfd = pid > 0 ? pidfdOpen(pid) : undefined;
  if (pidfd !== undefined) {
    try {
      await watch.wait(pidfd).readable;
    } finally {
      closeSync(pidfd);
    }
  }
  const status = reapChild(pid);
  if (status !== undefined) return status;
  throw new RuntsError(`process ${pid} is no child of this process, so its exit code is not known here`, {
    operation: "wait4",
    errno: "ECHILD",
    path: String(pid),
  });
}
