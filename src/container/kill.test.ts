import { describe, expect, it } from "vitest";
import { endsProcess, parseSignal } from "./kill.ts";

describe("parseSignal", () => {
  it.each([
    ["KILL", 9],
    ["SIGKILL", 9],
    ["sigterm", 15],
    ["Usr1", 10],
    ["9", 9],
    ["0", 0],
    ["64", 64],
    ["SIGRTMIN+3", 37],
    ["rtmax", 64],
  ])("%s is %i", (text, number) => {
    expect(parseSignal(text)).toBe(number);
  });

  it.each(["", "65", "-1", "SIG", "NOPE", "9x", " 9", "SIGSIGKILL", "RTMIN+31"])(
    "%j is not a signal",
    (text) => {
      expect(() => parseSignal(text)).toThrow(`unknown signal ${JSON.stringify(text)}`);
    },
  );
});

describe("endsProcess", () => {
  it.each(["KILL", "TERM", "HUP", "USR1", "RTMIN"])("%s ends a process", (name) => {
    expect(endsProcess(parseSignal(name))).toBe(true);
  });

  it.each(["0", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH"])(
    "%s doesn't end a process",
    (name) => {
      expect(endsProcess(parseSignal(name))).toBe(false);
    },
  );
});
