import { MSG_WAITALL } from "../../../bindings/abi/socket.ts";
import { syscall } from "../../../bindings/ffi/syscall.ts";
import { mountsOf } from "../../../bindings/linux/mount-info.ts";
import { waitReadable } from "../../../bindings/linux/poll.ts";
import { StubChannel } from "../../../bindings/stub/client.ts";
import { type Program, pathOf } from "../../../bindings/stub/program.ts";
import {
  decodeProgress,
  PROGRESS_LENGTH,
  type Progress,
  RESULT_LENGTH,
} from "../../../bindings/stub/reply.ts";
import { SyscallError } from "../../../bindings/syscall-error.ts";
import { withBusyCgroupHint } from "../../cgroup/errors.ts";
import { RuntsError } from "../../errors.ts";
import { explainExecFailure } from "../../init/explain-exec.ts";
import { operationError } from "../../init/run-program.ts";
import { wantsLabel } from "../../plan/process/labels.ts";
import type { Config, Process } from "../../spec/types.ts";
import { explainTransition } from "../caller/label-failure.ts";
import { processStat } from "./process-status.ts";

/** How long the last program of a process may take until its execve. */
const EXEC_TIMEOUT_MS = 60_000;

/** What the stub says of a last program that failed. */
export interface ProgramFailure {
  /** Index of the operation, those that take descriptors included. */
  readonly index: number;
  readonly errno: number;
}

/**
 * The reply that the stub sends when its last program, of so many operations, fails (struct reply of stub.c); nothing if it succeeds. The
 * process is in the container by now, and may say anything.
 */
export function readFailure(connection: number, operations: number): ProgramFailure | undefined {
  if (!waitReadable(connection, EXEC_TIMEOUT_MS)) {
    throw new RuntsError(`the process has not executed its program within ${EXEC_TIMEOUT_MS / 1000} s`, {
      operation: "execve",
      errno: "ETIMEDOUT",
    });
  }
  const reply = receive(connection, PROGRESS_LENGTH);
  if (reply.length === 0) return undefined;
  const { ran, errno } = progressOf(reply, operations);
  const results = receive(connection, RESULT_LENGTH * ran);
  if (errno === 0 || results.length < RESULT_LENGTH * ran) throw noReply();
  return { index: ran - 1, errno };
}

/** So many bytes, or those that come until the stream ends. */
function receive(connection: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const count = syscall("recvfrom", [connection, bytes, length, MSG_WAITALL, null, null], ["init"]);
  return bytes.subarray(0, count);
}

function progressOf(reply: Uint8Array, operations: number): Progress {
  try {
    if (reply.length === PROGRESS_LENGTH) return decodeProgress(reply, operations);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
  throw noReply();
}

function noReply(): RuntsError {
  return new RuntsError("the process has given an answer that no stub gives before its program", {
    operation: "execve",
    errno: "EPROTO",
  });
}

/** Waits until the last program of a process closes the channel; throws what fails in it instead. */
export function awaitClosed(channel: number, { operations, descriptors }: Program): void {
  const failed = readFailure(channel, descriptors.length + operations.length);
  if (failed === undefined) return;
  const operation = operations[failed.index - descriptors.length];
  throw operationError(operation && { ...operation, path: pathOf(operation) }, failed.errno);
}

/**
 * Throws if a process has ended without having executed its program: its channel was closed by that, and not by the execve. The
 * kernel clears the flag before it closes descriptors (begin_new_exec of fs/exec.c). One that is gone altogether has run, as a rule.
 */
export function checkHasExecuted(pid: number, config: () => Config): void {
  if (processStat(pid)?.hasNotExecuted !== true) return;
  const filtered = config().linux?.seccomp !== undefined;
  const pointer = filtered ? "/linux/seccomp" : "/process";
  const question = filtered ? "does its filter deny execve" : "is its memory limit too low";
  throw new RuntsError(`${pointer}: the process ended before it executed its program: ${question}?`, {
    operation: "start",
    errno: "ESRCH",
    pointer,
  });
}

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

/** A clone that the kernel has refused, in terms of the cgroup that it was for. */
export function withCgroupHint(error: unknown, cgroup: () => string | undefined): unknown {
  if (!(error instanceof RuntsError) || error.errno !== "EBUSY") return error;
  const directory = cgroup();
  return directory === undefined ? error : withBusyCgroupHint(error, directory);
}
