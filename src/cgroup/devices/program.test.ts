import { describe, expect, test } from "vitest";
import type { DeviceRule } from "../../spec/types.ts";
import { type DeviceRequest, runDeviceProgram } from "./device-interpreter.test-support.ts";
import { compileDeviceRules, type DeviceMatch } from "./program.ts";
import { deviceMatches } from "./rules.ts";

const BLOCK = 1;
const CHAR = 2;

/** `c 1:3 rw` as a request. */
function request(text: string): DeviceRequest {
  const [type, device = "", access = ""] = text.split(" ");
  const [major, minor] = device.split(":").map(Number);
  return {
    type: type === "b" ? BLOCK : CHAR,
    major: major ?? 0,
    minor: minor ?? 0,
    access: (access.includes("m") ? 1 : 0) | (access.includes("r") ? 2 : 0) | (access.includes("w") ? 4 : 0),
  };
}

/** `allow c 10:* rw` as a rule; `*` for a field leaves it out. */
function rule(text: string): DeviceRule {
  const [allow, type, device = "*:*", access] = text.split(" ");
  const [major, minor] = device.split(":");
  return {
    allow: allow === "allow",
    ...(type === "b" || type === "c" || type === "a" ? { type } : {}),
    ...(major === "*" || major === undefined ? {} : { major: BigInt(major) }),
    ...(minor === "*" || minor === undefined ? {} : { minor: BigInt(minor) }),
    ...(access === undefined ? {} : { access }),
  };
}

function decide(rules: readonly string[], asked: string): boolean {
  return allows(compileDeviceRules(deviceMatches(rules.map(rule))), request(asked));
}

/** No program allows everything. */
function allows(program: Uint8Array | undefined, asked: DeviceRequest): boolean {
  return program === undefined || runDeviceProgram(program, asked);
}

describe("default rules", () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ["c 1:3 rw", true],
    ["c 1:5 r", true],
    ["c 1:7 w", true],
    ["c 1:8 rw", true],
    ["c 1:9 r", true],
    ["c 5:0 rw", true],
    ["c 5:2 rw", true],
    ["c 136:0 rw", true],
    ["c 136:77 rwm", true],
    ["c 10:200 rw", true],
    ["c 10:229 m", true],
    ["b 8:0 m", true],
    ["c 10:229 rw", false],
    ["c 10:229 rm", false],
    ["b 8:0 r", false],
    ["b 1:3 r", false],
    ["c 1:1 r", false],
    ["c 5:1 rw", false],
  ];
  test.each(cases)("%s: allowed %s without rules", (asked, allowed) => {
    expect(decide([], asked)).toBe(allowed);
    expect(decide(["deny a *:* rwm"], asked)).toBe(allowed);
  });

  test("can't be denied by the config", () => {
    expect(decide(["deny c 1:3 rwm", "deny a *:* rwm"], "c 1:3 rw")).toBe(true);
  });
});

describe("rules of the config", () => {
  const cases: readonly (readonly [string, readonly string[], string, boolean])[] = [
    ["a later rule wins", ["allow c 10:229 rwm", "deny c 10:229 rwm"], "c 10:229 r", false],
    ["a later rule wins", ["deny c 10:229 rwm", "allow c 10:229 rwm"], "c 10:229 r", true],
    ["denying everything resets earlier rules", ["allow b 8:0 rw", "deny a *:* rwm"], "b 8:0 r", false],
    ["allowing everything, without fields", ["allow * *:*"], "b 8:1 rwm", true],
    ["a denial within a wildcard", ["allow b *:* rwm", "deny b 8:0 w"], "b 8:0 rw", false],
    ["other access within that wildcard", ["allow b *:* rwm", "deny b 8:0 w"], "b 8:0 r", true],
    ["another device within that wildcard", ["allow b *:* rwm", "deny b 8:0 w"], "b 8:1 w", true],
    ["access from two rules", ["allow c 4:1 r", "allow c 4:1 w"], "c 4:1 rw", true],
    ["reading is not writing", ["allow c 4:1 r"], "c 4:1 rw", false],
    ["a type", ["allow b 4:1 rw"], "c 4:1 rw", false],
    ["both types", ["allow a 4:1 rw"], "c 4:1 rw", true],
    ["both types, another device", ["allow a 4:1 rw"], "c 4:2 rw", false],
    ["a major number alone", ["allow c 4:* rw"], "c 4:99 rw", true],
    ["a minor number alone", ["allow c *:7 rw"], "c 99:7 rw", true],
    ["a minor number alone, another one", ["allow c *:7 rw"], "c 99:8 rw", false],
    ["-1 is all", ["allow c -1:-1 rw"], "c 99:8 rw", true],
    ["numbers beyond 31 bits", ["allow c 4294967295:1 rw"], "c 1:1 r", false],
  ];
  test.each(cases)("%s: %j, %s: allowed %s", (_title, rules, asked, allowed) => {
    expect(decide(rules, asked)).toBe(allowed);
  });

  test("numbers beyond 32 bits, negative ones and unknown kinds of access are refused by pointer", () => {
    expect(() => decide(["allow c 4294967296:1 rw"], "c 0:1 r")).toThrow("/linux/resources/devices/0/major");
    expect(() => decide(["allow c 1:-2 rw"], "c 0:1 r")).toThrow("/linux/resources/devices/0/minor");
    expect(() => decide(["allow c 1:2 x"], "c 0:1 r")).toThrow("/linux/resources/devices/0/access");
  });
});

test("a program is needed unless everything is allowed", () => {
  const everything = (rules: readonly string[]) =>
    compileDeviceRules(deviceMatches(rules.map(rule))) === undefined;
  expect(everything(["allow a *:* rwm"])).toBe(true);
  expect(everything(["deny b 8:0 rwm", "allow a *:* rwm"])).toBe(true);
  expect(everything(["allow a *:* rwm", "deny b 8:0 w"])).toBe(false);
  expect(everything(["allow a *:* r"])).toBe(false);
  // The default rules allow mknod.
  expect(everything(["allow a *:* rw"])).toBe(true);
  expect(everything([])).toBe(false);
});

/** Evaluates a list of rules, one kind of access at a time. */
function expected(rules: readonly DeviceMatch[], asked: DeviceRequest): boolean {
  return [1, 2, 4].every((bit) => {
    if ((asked.access & bit) === 0) return true;
    const last = rules.findLast(
      ({ type, major, minor, access }) =>
        (access & bit) !== 0 &&
        (type ?? asked.type) === asked.type &&
        (major ?? asked.major) === asked.major &&
        (minor ?? asked.minor) === asked.minor,
    );
    return last?.allow ?? false;
  });
}

test("the program agrees with an evaluation of the rules, for random rules and all requests", () => {
  let seed = 1;
  const random = (bound: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 16) % bound;
  };
  const maybe = (value: number): number | undefined => (random(3) === 0 ? undefined : value);
  for (let round = 0; round < 500; round++) {
    const rules = Array.from({ length: random(9) }, (): DeviceMatch => {
      const type = ([undefined, BLOCK, CHAR] as const)[random(3)];
      return {
        allow: random(2) === 0,
        type,
        major: maybe(random(3)),
        minor: maybe(random(3)),
        access: 1 + random(7),
      };
    });
    const program = compileDeviceRules(rules);
    for (let index = 0; index < 2 * 3 * 3 * 7; index++) {
      const asked = {
        type: 1 + (index % 2),
        major: Math.floor(index / 2) % 3,
        minor: Math.floor(index / 6) % 3,
        access: 1 + Math.floor(index / 18),
      };
      if (allows(program, asked) !== expected(rules, asked)) {
        expect.fail(`wrong decision on ${JSON.stringify(asked)} by ${JSON.stringify(rules)}`);
      }
    }
  }
});
