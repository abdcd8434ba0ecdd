import { substituteKernel } from "../../bindings/ffi/syscall.ts";
import { tapStubs } from "../../bindings/stub/client.ts";
import { StubProcesses } from "../../bindings/stub/stub-processes.ts";
import type { Log } from "../log.ts";
import { loggingKernel } from "./runtime-steps.ts";
import { StepLog } from "./steps.ts";
import { StubSteps } from "./stub-steps.ts";

/**
 * Logs what a command does, in the words of `explain`: each step of the runtime and of its stubs, with the property of config.json that
 * asks for it. It logs no data that is written or passed, since environments, arguments and data of mounts may hold secrets. Returns a
 * function that stops it.
 */
export function logSteps(log: Log, command: string): () => void {
  const steps = new StepLog(log);
  const processes = new StubProcesses();
  tapStubs(new StubSteps(steps, processes, command === "exec" ? "process" : "init"));
  substituteKernel(loggingKernel(steps, processes));
  return () => {
    substituteKernel(undefined);
    tapStubs(undefined);
  };
}

/** Logs the causes of an error that its message doesn't contain. */
export function logCauses(log: Log, error: unknown): void {
  let said = error instanceof Error ? error.message : "";
  for (let cause = causeOf(error); cause instanceof Error; cause = causeOf(cause)) {
    if (!said.includes(cause.message)) log.debug(`because of: ${cause.message}`);
    said = cause.message;
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}
