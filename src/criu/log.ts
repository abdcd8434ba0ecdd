/** The number of errors that are shown. Later ones usually follow from the first. */
const SHOWN_ERRORS = 3;

/** An error that criu logs if it may not raise a limit. It continues without. */
const HARMLESS = /Can't setup RLIMIT_NOFILE for self/;

/** Errors that are consequences, or only say that there was an error. */
const CONCLUSION =
  /(Dumping FAILED|Pre-dumping FAILED|Restoring FAILED|Dump files \(pid: \d+\) failed with -1|cgroupd: recv req error)/;

/**
 * The first errors in a log of criu, without their time: `Error (criu/files-reg.c:1790): Can't lookup mount=54 for fd=1`. Lines of criu's
 * code that runs inside of a process begin with `pie: <pid>: `.
 */
export function errorsOfLog(text: string): string[] {
  const errors = text
    .split("\n")
    .map((line) => /^(?:\([\d.]+\)|pie: \d+:)?\s*(?:\d+:\s*)?(Error \(.*)$/.exec(line)?.[1]?.trim())
    .filter((line) => line !== undefined)
    .filter((line) => !HARMLESS.test(line));
  const causes = errors.filter((line) => !CONCLUSION.test(line));
  return [...new Set(causes.length === 0 ? errors : causes)].slice(0, SHOWN_ERRORS);
}
