import { errnoMessage, errnoName } from "../../bindings/abi/errno.ts";
import { RuntsError } from "../errors.ts";
import { errorsOfLog } from "./log.ts";
import type { CriuResponse, RequestType } from "./messages.ts";

export interface CriuFailure {
  readonly type: RequestType;
  /** undefined if criu has ended without an answer; `end` then says how. */
  readonly response: CriuResponse | undefined;
  readonly end: string;
  /** Text of the log; undefined if there is none. */
  readonly log: string | undefined;
  readonly logPath: string;
}

/**
 * What criu says of a failure, in one line: the causes, which stand nowhere but in its log, and where that is. The beginning is
 * runc's.
 */
export function failureError({ type, response, end, log, logPath }: CriuFailure): RuntsError {
  const errno = response?.errno ?? 0;
  const errors = log === undefined ? [] : errorsOfLog(log);
  const reasons = errors.length > 0 ? errors : [response?.message ?? ""].filter((text) => text !== "");
  const summary = [
    `criu failed: type ${type}`,
    // containerd cuts a message off at "errno 0".
    errno === 0 ? "" : ` errno ${errno} (${errnoMessage(errnoName(errno))})`,
    response === undefined ? `, ${end}` : "",
    reasons.length === 0 ? "" : `: ${reasons.join("; ")}`,
    log === undefined ? "" : `; log file: ${logPath}`,
  ];
  return new RuntsError(summary.join(""), {
    operation: "criu",
    path: logPath,
    ...(errno !== 0 && { errno: errnoName(errno) }),
  });
}
