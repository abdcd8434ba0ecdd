import { expect, it } from "vitest";
import { stateForJson } from "./output.ts";
import { sampleState } from "./sample-state.test-support.ts";

it("state: has the properties in runc's order", () => {
  const order = ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"];
  const stopped = { exitCode: 3, ...sampleState };
  expect(Object.keys(stateForJson(stopped))).toEqual([...order, "exitCode"]);
  expect(stateForJson(stopped)).toEqual(stopped);
});
