import { expect, it } from "vitest";
import { stateForJson } from "./output.ts";
import { sampleState } from "./sample-state.test-support.ts";

it("state: has the properties in runc's order", () => {
  const order = ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"];
  expect(Object.keys(stateForJson(sampleState))).toEqual(order);
  expect(stateForJson(sampleState)).toEqual(sampleState);
});
