import { RuntsError } from "../errors.ts";
import { wantsLabel } from "../plan/security-labels.ts";
import type { Process } from "../spec/types.ts";

/** A process whose execve has failed, and that waits for the end of its channel. */
export interface FailedProcess {
  readonly pid: number;
  readonly channel: number;
  readonly process: Process | undefined;
}

/** The error with what the container's files, or its labels, say of the reason, if it is one of the program's execve; else the same error. */
export async function explained(error: unknown, failed: FailedProcess): Promise<unknown> {
  const { pid, channel, process } = failed;
  if (!(error instanceof RuntsError) || error.operation !== "execve" || process === undefined) return error;
  const { StubChannel } = await import("../../bindings/stub/client.ts");
  const { explainExecFailure } = await import("../init/explain-exec.ts");
  const { mountsOf } = await import("../../bindings/linux/mount-info.ts");
  const mounts = () => mountsOf(pid);
  const reason = explainExecFailure(error, { channel: new StubChannel(channel), process, mounts });
  if (reason !== error || !wantsLabel(process)) return reason;
  const { explainTransition } = await import("./label-failure.ts");
  return explainTransition(error, process);
}
