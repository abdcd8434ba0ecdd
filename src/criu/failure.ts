import { errnoMessage, errnoName } from "../../bindings/abi/errno.ts";
import { RuntsError } from "../errors.ts";
import { errorsOfLog } from "./log.ts";
import type { CriuResponse, RequestType } from "./messages.ts";

export interface CriuFailure {
  readonly type: RequestType;
  /** Undefined if criu exited without a response; `end` then says how. */
  readonly response: CriuResponse | undefined;
  readonly end: string;
  /** Content of the log; undefined if there is none. */
  readonly log: string | undefined;
  readonly logPath: string;
}

/** The error of a failed request, in one line: the causes, which are only in criu's log, and the log's path. It begins like runc's. */
export function failureError({ type, response, end, log, logPath }: CriuFailure): RuntsError {
  const errno = response?.errno ?? 0;
  const errors = log === undefined ? [] : errorsOfLog(log);
  const reasons = errors.length > 0 ? errors : [response?.message ?? ""].filter((text) => text !== "");
  const summary = [
    `criu failed: type ${type}`,
    // containerd cuts off a message at "errno 0".
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
