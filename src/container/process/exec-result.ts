import { errnoMessage, errnoName } from "../../../bindings/abi/errno.ts";
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
import type { PendingProcess } from "../../init/spawn-process.ts";
import { wantsLabel } from "../../plan/process/labels.ts";
import type { Config, Process } from "../../spec/types.ts";
import { explainTransition } from "../caller/label-failure.ts";
import { withLabelHint } from "../caller/lsm.ts";
import type { ExecOperation } from "../record/saved-state.ts";
import { withLandlockHint } from "./landlock.ts";
import { processStat } from "./process-status.ts";

/** How long the last program of a process may take until its execve. */
const EXEC_TIMEOUT_MS = 60_000;

/** The stub's answer to a last program that failed. */
export interface ProgramFailure {
  /** Index of the operation, those that take descriptors included. */
  readonly index: number;
  readonly errno: number;
}

/**
 * Waits until the last program of a process, of so many operations, has ended. Returns undefined if it succeeded: then the connection
 * closes without a word. If it failed, the stub sends a reply (struct reply of stub.c). The process is in the container by now, and may
 * say anything.
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

/** Receives so many bytes, or fewer if the stream ends. */
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
  return new RuntsError("the process sent an invalid reply before execve", {
    operation: "execve",
    errno: "EPROTO",
  });
}

/** Waits until the last program of a process closes the connection. Throws an error that names the operation, if one fails. */
export function awaitLastProgram(connection: number, program: Program): void {
  const failed = failedOperation(connection, program);
  if (failed !== undefined) throw operationError(failed.operation, failed.errno);
}

/**
 * Like awaitLastProgram, for init's last program, which `create` has sent and described in the record. Returns the error, if an operation
 * fails.
 */
export function awaitSavedProgram(
  connection: number,
  described: readonly ExecOperation[],
): RuntsError | undefined {
  // The last of them is the execve.
  const count = (described.at(-1)?.index ?? -1) + 1;
  const failed = readFailure(connection, count);
  if (failed === undefined) return undefined;
  const operation = described.find(({ index }) => index === failed.index);
  return operationError(operation ?? UNKNOWN_OPERATION, failed.errno);
}

const UNKNOWN_OPERATION = { call: "execve", pointer: "/process", purpose: "start the program", path: "" };

/** Like awaitLastProgram, but returns the reason: of a failed execve the errno's text alone, since the caller names the program. */
export function lastProgramFailure(connection: number, program: Program): string | undefined {
  const failed = failedOperation(connection, program);
  if (failed === undefined) return undefined;
  const { operation, errno } = failed;
  if (operation === undefined || operation.call === "execve") return errnoMessage(errnoName(errno));
  return operationError(operation, errno).message;
}

function failedOperation(connection: number, { operations, descriptors }: Program) {
  const failed = readFailure(connection, descriptors.length + operations.length);
  if (failed === undefined) return undefined;
  const operation = operations[failed.index - descriptors.length];
  return { operation: operation && { ...operation, path: pathOf(operation) }, errno: failed.errno };
}

/**
 * Throws if a process has ended without having executed its program: its end closed the connection, not the execve. The kernel clears
 * the flag before it closes descriptors (begin_new_exec of fs/exec.c). A process that is gone altogether has run its program, as a rule.
 */
export function checkHasExecuted(operation: "start" | "exec", pid: number, config: () => Config): void {
  if (processStat(pid)?.hasNotExecuted !== true) return;
  const filtered = config().linux?.seccomp !== undefined;
  const pointer = filtered ? "/linux/seccomp" : "/process";
  const question = filtered ? "does its filter deny execve" : "is its memory limit too low";
  throw new RuntsError(`${pointer}: the process ended before it executed its program: ${question}?`, {
    operation,
    errno: "ESRCH",
    pointer,
  });
}

/** A process whose execve has failed. It waits until its channel closes. */
export interface FailedProcess {
  readonly pid: number;
  readonly channel: number;
  readonly process: Process | undefined;
}

/** Adds the reason to the error of a failed execve, if the container's files or the labels tell it. Returns other errors as they are. */
export function withExecHint(error: unknown, failed: FailedProcess): unknown {
  const { pid, channel, process } = failed;
  if (!(error instanceof RuntsError) || error.operation !== "execve" || process === undefined) return error;
  const mounts = () => mountsOf(pid);
  const reason = explainExecFailure(error, { channel: new StubChannel(channel), process, mounts });
  return reason !== error || !wantsLabel(process) ? reason : explainTransition(error, process);
}

/** A process that could not be made, or has failed before its execve. */
export interface FailedSetUp {
  /** undefined if it was not spawned yet. */
  readonly pending: PendingProcess | undefined;
  readonly process: Process;
  readonly config: Config;
  /** Directory of its cgroup, if it has one. */
  readonly cgroup: string | undefined;
}

/**
 * Adds the reason to the error of a process that has failed, as far as its files, its labels or its cgroup tell it. Returns other errors
 * as they are. Called while the process and the cgroup are still there.
 */
export function withProcessHint(error: unknown, { pending, process, config, cgroup }: FailedSetUp): unknown {
  const spawned = pending?.process;
  if (spawned !== undefined) {
    const { pid, channel } = spawned;
    const reason = withExecHint(error, { pid, channel: channel.descriptor, process });
    if (reason !== error) return reason;
  }
  const labels = withLabelHint(error, process, config);
  if (labels !== error) return labels;
  const rules = withLandlockHint(error, config);
  return cgroup === undefined ? rules : withBusyCgroupHint(rules, cgroup);
}
