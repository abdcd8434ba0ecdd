/** How many errors of a log are shown: later ones follow from the first. */
const SHOWN_ERRORS = 3;

/** An error that criu logs where the caller may not raise a limit, and that ends nothing: criu goes on without. */
const HARMLESS = /Can't setup RLIMIT_NOFILE for self/;

/** What follows from an error, or says only that there was one. */
const CONCLUSION =
  /(Dumping FAILED|Pre-dumping FAILED|Restoring FAILED|Dump files \(pid: \d+\) failed with -1|cgroupd: recv req error)/;

/**
 * The first lines of a log of criu that are errors, without their time: `Error (criu/files-reg.c:1790): Can't lookup mount=54 for
 * fd=1`. Those of criu's parts inside of a process begin with `pie: <pid>: `.
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
