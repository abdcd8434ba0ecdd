import { mountsOf } from "../../../bindings/linux/mount-info.ts";
import { StubChannel } from "../../../bindings/stub/client.ts";
import { RuntsError } from "../../errors.ts";
import { explainExecFailure } from "../../init/explain-exec.ts";
import { wantsLabel } from "../../plan/process/labels.ts";
import type { Process } from "../../spec/types.ts";
import { explainTransition } from "../caller/label-failure.ts";

/** A process whose execve has failed, and that waits for the end of its channel. */
export interface FailedProcess {
  readonly pid: number;
  readonly channel: number;
  readonly process: Process | undefined;
}

/** The error with what the container's files, or its labels, say of the reason, if it is one of the program's execve; else the same error. */
export function withExecHint(error: unknown, failed: FailedProcess): unknown {
  const { pid, channel, process } = failed;
  if (!(error instanceof RuntsError) || error.operation !== "execve" || process === undefined) return error;
  const mounts = () => mountsOf(pid);
  const reason = explainExecFailure(error, { channel: new StubChannel(channel), process, mounts });
  return reason !== error || !wantsLabel(process) ? reason : explainTransition(error, process);
}
