import { expect, test } from "vitest";
import { currentPurpose, isPartOf, withPurpose } from "./purpose.ts";

const now = () => [currentPurpose().pointer, currentPurpose().purpose];

test("an action has the innermost purpose, and the outer pointer if it has none of its own", () => {
  expect(now()).toEqual(["", ""]);
  withPurpose("/hooks/poststop/0", "run the hook", () => {
    withPurpose("", "spawn the stub", () => expect(now()).toEqual(["/hooks/poststop/0", "spawn the stub"]));
    withPurpose("/hostname", "set the host name", () => {
      expect(now()).toEqual(["/hostname", "set the host name"]);
      expect(currentPurpose().outer?.pointer).toBe("/hooks/poststop/0");
      expect([isPartOf("run the hook"), isPartOf("spawn the stub")]).toEqual([true, false]);
    });
    expect(now()).toEqual(["/hooks/poststop/0", "run the hook"]);
  });
  expect(now()).toEqual(["", ""]);
});

test("an action that fails leaves the purpose as it was", () => {
  const fail = () => {
    throw new Error("no");
  };
  expect(() => withPurpose("/mounts/0", "mount", fail)).toThrow("no");
  expect(now()).toEqual(["", ""]);
});
