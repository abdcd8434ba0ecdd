import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import * as errnos from "./errno.ts";
import { errnoMessage, errnoName, errnoNumber } from "./errno.ts";

test("names and numbers agree with the engine's table", () => {
  for (const [name, number] of Object.entries(constants.errno)) {
    expect(errnoNumber(name), name).toBe(number);
    expect(errnoNumber(errnoName(number)), name).toBe(number);
  }
});

test("each constant has the number of its name", () => {
  const numbers = Object.entries(errnos).filter(([, value]) => typeof value === "number");
  expect(numbers.length).toBeGreaterThan(10);
  for (const [name, number] of numbers) expect(number, name).toBe(errnoNumber(name));
});

describe("errnoName", () => {
  test.each([
    [1, "EPERM"],
    [11, "EAGAIN"],
    [35, "EDEADLK"],
    [95, "EOPNOTSUPP"],
    [133, "EHWPOISON"],
  ])("%i", (number, name) => {
    expect(errnoName(number)).toBe(name);
  });

  test.each([0, 41, 58, 134, 512, 4095])("%i has no name and is shown as a number", (number) => {
    expect(errnoName(number)).toBe(String(number));
  });
});

describe("errnoNumber", () => {
  test.each([
    ["EPERM", 1],
    ["EHWPOISON", 133],
    ["EWOULDBLOCK", 11],
    ["EDEADLOCK", 35],
    ["ENOTSUP", 95],
  ])("%s", (name, number) => {
    expect(errnoNumber(name)).toBe(number);
  });

  test.each(["", "EFOO", "eperm", "constructor", "22"])('"%s" is 0', (name) => {
    expect(errnoNumber(name)).toBe(0);
  });
});

describe("errnoMessage", () => {
  test("gives the message of an error, and of its aliases", () => {
    expect(errnoMessage("ENOENT")).toBe("no such file or directory");
    expect(errnoMessage("EHWPOISON")).toBe("memory page has hardware error");
    expect(errnoMessage("EWOULDBLOCK")).toBe(errnoMessage("EAGAIN"));
  });

  test.each(["", "EFOO", "41"])('"%s" is unknown', (name) => {
    expect(errnoMessage(name)).toBe("unknown error");
  });

  test("every name has a message", () => {
    for (let number = 1; number <= 133; number++) {
      const name = errnoName(number);
      if (name.startsWith("E")) expect(errnoMessage(name), name).not.toBe("unknown error");
    }
  });
});
