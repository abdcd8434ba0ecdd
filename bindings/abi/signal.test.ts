import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import { SIGRTMAX, SIGRTMIN, signalName, signalNumber } from "./signal.ts";

test("names and numbers agree with the engine's table", () => {
  for (const [name, number] of Object.entries(constants.signals)) {
    expect(signalNumber(name), name).toBe(number);
    expect(signalNumber(signalName(number)), name).toBe(number);
  }
});

describe("signalNumber", () => {
  test.each([
    ["9", 9],
    ["KILL", 9],
    ["SIGKILL", 9],
    ["sigkill", 9],
    ["Term", 15],
    ["1", 1],
    ["64", 64],
    ["33", 33],
    ["009", 9],
    ["IOT", 6],
    ["SIGCLD", 17],
    ["POLL", 29],
    ["RTMIN", 34],
    ["SIGRTMIN+3", 37],
    ["rtmin+30", 64],
    ["RTMAX", 64],
    ["RTMAX-1", 63],
    ["RTMAX-30", 34],
  ])("%s", (text, number) => {
    expect(signalNumber(text)).toBe(number);
  });

  test.each([
    ...["", "0", "65", "-9", "+9", "9 ", "1e1", "0x9", "99999999999999999999"],
    ...["SIG", "SIGSIGKILL", "SIG9", "KILLED", "FOO", "constructor", "CONSTRUCTOR", "__proto__"],
    ...["RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMAX-31", "RTMIN3", "RTMIN+", "RTMIN+100"],
  ])('"%s" is not a signal', (text) => {
    expect(signalNumber(text)).toBeUndefined();
  });
});

describe("signalName", () => {
  test.each([
    [1, "SIGHUP"],
    [31, "SIGSYS"],
    [SIGRTMIN, "SIGRTMIN"],
    [SIGRTMIN + 1, "SIGRTMIN+1"],
    [SIGRTMAX, "SIGRTMIN+30"],
  ])("%i", (number, name) => {
    expect(signalName(number)).toBe(name);
  });

  test.each([0, 32, 33, 65, -1])("%i has no name and is shown as a number", (number) => {
    expect(signalName(number)).toBe(String(number));
  });

  test("every name leads back to its number", () => {
    for (let number = 1; number <= SIGRTMAX; number++) expect(signalNumber(signalName(number))).toBe(number);
  });
});
