import { expect, it } from "vitest";
import { RuntsError } from "../errors.ts";
import { forEachMatch } from "./matching-containers.ts";

const containers = ["a1", "a2", "b1"].map((id) => ({ id }));
const warnings: string[] = [];
const nothing = () => undefined;
const log = {
  debug: nothing,
  info: nothing,
  warn: (message: string) => void warnings.push(message),
  error: nothing,
};

it.each([
  ["^a.$", ["a1", "a2"]],
  ["1", ["a1", "b1"]],
  ["^(a2|b[0-9]+)$", ["a2", "b1"]],
  ["", ["a1", "a2", "b1"]],
  ["c", []],
])("%j matches %j", (pattern, expected) => {
  const seen: string[] = [];
  const code = forEachMatch(containers, pattern, log, (id) => void seen.push(id));
  expect({ code, seen }).toEqual({ code: 0, seen: expected });
});

it("goes on after a failure, logs it as a warning and returns exit code 1", () => {
  const seen: string[] = [];
  const action = (id: string) => {
    seen.push(id);
    if (id === "a1") throw new RuntsError("it runs");
  };
  expect(forEachMatch(containers, "a", log, action)).toBe(1);
  expect(seen).toEqual(["a1", "a2"]);
  expect(warnings).toEqual(["a1: it runs"]);
});
