import { MSG_WAITALL } from "../../bindings/abi/socket.ts";
import { syscall } from "../../bindings/ffi/syscall.ts";
import { waitReadable } from "../../bindings/linux/poll.ts";
import { type Program, pathOf } from "../../bindings/stub/program.ts";
import { RuntsError } from "../errors.ts";
import { operationError } from "../init/run-program.ts";
import type { Config } from "../spec/types.ts";
import { processStat } from "./process-status.ts";

/** How long the last program of a process may take until its execve. */
const EXEC_TIMEOUT_MS = 60_000;

/** What the stub says of a last program that failed. */
export interface ProgramFailure {
  /** Index of the operation, those that take descriptors included. */
  readonly index: number;
  readonly errno: number;
}

/** The reply that the stub sends when its last program fails (struct reply of stub.c); nothing if it succeeds. */
export function readFailure(connection: number): ProgramFailure | undefined {
  if (!waitReadable(connection, EXEC_TIMEOUT_MS)) {
    throw new RuntsError(`the process has not executed its program within ${EXEC_TIMEOUT_MS / 1000} s`, {
      operation: "execve",
      errno: "ETIMEDOUT",
    });
  }
  const reply = new Uint32Array(2);
  const length = syscall(
    "recvfrom",
    [connection, new Uint8Array(reply.buffer), 8, MSG_WAITALL, null, null],
    ["init"],
  );
  if (length < 8) return undefined;
  const [ran = 0, errno = 0] = reply;
  const results = new Uint8Array(8 * ran);
  syscall("recvfrom", [connection, results, results.length, MSG_WAITALL, null, null], ["init"]);
  return { index: ran - 1, errno };
}

/** Waits until the last program of a process closes the channel; throws what fails in it instead. */
export function awaitClosed(channel: number, { operations, descriptors }: Program): void {
  const failed = readFailure(channel);
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
