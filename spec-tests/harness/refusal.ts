import { expect } from "vitest";
import { IS_RUNTS, type Result } from "./runtime.ts";

/** The operation failed as it should: by itself, in words on stderr, and under runts with its own exit code and prefix. */
export function expectRefusal(
  result: Result,
  words?: RegExp | string,
  code = 1,
  isRunts: boolean = IS_RUNTS,
): void {
  expect(result.code, `exit code; stderr: ${result.stderr}`).not.toBe(0);
  expect(result.code, `not ended by a signal or the harness: ${result.stderr}`).not.toBe(124);
  expect(result.stderr).not.toBe("");
  if (isRunts) {
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(/^runts: [^\n]+\n/);
  }
  // runc's log lines quote the message, and so escape the quotes in it.
  if (typeof words === "string") expect(result.stderr.replaceAll('\\"', '"')).toContain(words);
  else if (words !== undefined) expect(result.stderr).toMatch(words);
}

/** Words that only runts has for it: peers are judged by what they do. */
export function inOurWords(words: string): string | undefined {
  return IS_RUNTS ? words : undefined;
}
