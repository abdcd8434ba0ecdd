import { errnoMessage, errnoName } from "../../bindings/abi/errno.ts";
import { withPurpose } from "../../bindings/ffi/purpose.ts";
import { ANSWER_TIMEOUT_S, type StubChannel } from "../../bindings/stub/client.ts";
import { type Program, pathOf, type Reply } from "../../bindings/stub/program.ts";
import { SyscallError } from "../../bindings/syscall-error.ts";
import { RuntsError } from "../errors.ts";

/** Runs a program in the stub. An operation that fails becomes an error that names it, its path and the config property. */
export function runProgram(channel: StubChannel, program: Program): Reply {
  return awaitReply(program, () => channel.run(program));
}

/** Receives the reply to a program that was sent before, and was the oldest without one. */
export function receiveReply(channel: StubChannel, program: Program): Reply {
  return awaitReply(program, () => channel.receive());
}

/**
 * Like receiveReply, for the copy of the reply that the clone of a stub sends: it runs the rest of the program that had the clone3(2) in it.
 * Checks that `pid` has sent it, and nothing else of it yet.
 */
export function receiveFromClone(channel: StubChannel, program: Program, pid: number): Reply {
  return during(program, () => channel.receiveFromClone(program, pid));
}

function awaitReply(program: Program, receive: () => Reply): Reply {
  const reply = during(program, receive);
  checkReply(program, reply);
  return reply;
}

/** Explains an error of the channel. The stub ends when the kernel kills it, which as a rule is for lack of memory in its cgroup. */
function during(program: Program, action: () => Reply): Reply {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const { call, errno } = error;
    const step = `(from "${program.operations[0]?.purpose ?? "set-up"}" on)`;
    throw new RuntsError(silence(error, step), { operation: call, errno, cause: error });
  }
}

/** Says why the stub has not answered. It may become init, a process of exec or a hook, or change the mounts of a container. */
function silence({ call, errno }: SyscallError, step: string): string {
  if (errno === "EPIPE" || errno === "ECONNRESET")
    return `the process that was being set up ended ${step}: is its memory limit too low?`;
  if (errno === "ETIMEDOUT")
    return `the process that is being set up has not answered within ${ANSWER_TIMEOUT_S} s ${step}`;
  if (errno === "EPROTO") return `the process that is being set up sent an invalid reply ${step}`;
  return `no answer of the process that is being set up ${step}: ${call}: ${errnoMessage(errno)}`;
}

export function checkReply(program: Program, { failure }: Reply): void {
  if (failure === undefined) return;
  const operation = program.operations[failure.index];
  throw operationError(operation && { ...operation, path: pathOf(operation) }, failure.errno);
}

/** The parts of an operation that an error names. */
export interface OperationDescription {
  readonly call: string;
  readonly pointer: string;
  readonly purpose: string;
  readonly path: string;
}

export function operationError(operation: OperationDescription | undefined, errno: number): RuntsError {
  const name = errnoName(errno);
  const { pointer = "", purpose = "set-up", call = "stub", path = "" } = operation ?? {};
  const parts = [
    pointer,
    purpose,
    path === "" || purpose.includes(path) ? call : `${call} ${path}`,
    errnoMessage(name),
  ];
  return new RuntsError(sentence(parts), {
    operation: call,
    errno: name,
    path,
    pointer,
  });
}

/** Turns a failed system call of the runtime itself into an error that names the config property. */
export function asRuntsError(error: unknown, pointer: string, purpose: string): unknown {
  if (error instanceof RuntsError) return error;
  const failed = failedCall(error);
  if (failed === undefined) return error;
  const { call, errno, path } = failed;
  const text = [
    pointer,
    purpose,
    path === "" || purpose.includes(path) ? call : `${call} ${path}`,
    errnoMessage(errno),
  ];
  const message = sentence(text);
  return new RuntsError(message, { operation: call, errno, path, pointer, cause: error });
}

function sentence(parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(": ");
}

interface FailedCall {
  readonly call: string;
  readonly errno: string;
  readonly path: string;
}

/** The call that failed, of a SyscallError or of an error of node:fs. */
function failedCall(error: unknown): FailedCall | undefined {
  if (error instanceof SyscallError)
    return { call: error.call, errno: error.errno, path: error.args[0] ?? "" };
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  const call = "syscall" in error && typeof error.syscall === "string" ? error.syscall : "";
  const path = "path" in error && typeof error.path === "string" ? error.path : "";
  return { call, errno: error.code, path };
}

/** Does something on behalf of a config property: a failure names it, as do `explain`, `--profile` and `--debug`. */
export function onBehalfOf<T>(pointer: string, purpose: string, action: () => T): T {
  try {
    return withPurpose(pointer, purpose, action);
  } catch (error) {
    throw asRuntsError(error, pointer, purpose);
  }
}
