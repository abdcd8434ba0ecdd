import {
  SIGCHLD,
  SIGCONT,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGWINCH,
  signalNumber,
} from "../../bindings/abi/signal.ts";
import { RuntsError } from "../errors.ts";

/** A signal by name, with or without SIG and in any case, or by number. */
export function parseSignal(text: string): number {
  const number = text === "0" ? 0 : signalNumber(text);
  if (number !== undefined) return number;
  throw new RuntsError(`unknown signal ${JSON.stringify(text)}`, {
    operation: "kill",
    errno: "EINVAL",
    path: text,
  });
}

/** CHLD, CONT, URG and WINCH are ignored by default, and STOP, TSTP, TTIN and TTOU stop a process: signal(7). */
const HARMLESS = new Set([0, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH]);

/** Whether a signal ends a process that does nothing about it. */
export function endsProcess(signal: number): boolean {
  return !HARMLESS.has(signal);
}
