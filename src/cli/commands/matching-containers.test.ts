import { expect, it } from "vitest";
import { RuntsError } from "../../errors.ts";
import { recordingOperations, sampleState } from "../capture.test-support.ts";
import { forEachMatch } from "./matching-containers.ts";

const { operations } = recordingOperations(["a1", "a2", "b1"].map((id) => ({ ...sampleState, id })));
const warnings: string[] = [];
const nothing = () => undefined;
const log = {
  debug: nothing,
  info: nothing,
  warn: (message: string) => void warnings.push(message),
  error: nothing,
};
const context = { root: "/r", rootless: "auto", log } as const;

it.each([
  ["^a.$", ["a1", "a2"]],
  ["1", ["a1", "b1"]],
  ["^(a2|b[0-9]+)$", ["a2", "b1"]],
  ["", ["a1", "a2", "b1"]],
  ["c", []],
])("%j matches %j", (pattern, expected) => {
  const seen: string[] = [];
  const code = forEachMatch(context, operations, pattern, (id) => void seen.push(id));
  expect({ code, seen }).toEqual({ code: 0, seen: expected });
});

it("goes on after a failure, which is a warning and the exit code", () => {
  const seen: string[] = [];
  const action = (id: string) => {
    seen.push(id);
    if (id === "a1") throw new RuntsError("it runs");
  };
  expect(forEachMatch(context, operations, "a", action)).toBe(1);
  expect(seen).toEqual(["a1", "a2"]);
  expect(warnings).toEqual(["a1: it runs"]);
});
