import { describe, expect, it } from "vitest";
import { hookState } from "./oci-state.ts";
import { savedState } from "./status.test-support.ts";

describe("hookState", () => {
  it("is the state of runtime.md", () => {
    const state = savedState({ pid: 42, annotations: { key: "value" } });
    const parsed = JSON.parse(hookState(state, "created"));
    expect(parsed).toEqual({
      ociVersion: expect.stringMatching(/^1\./),
      id: "box",
      status: "created",
      pid: 42,
      bundle: "/bundle",
      annotations: { key: "value" },
    });
  });

  it("has no pid of a stopped container, and no empty annotations", () => {
    const parsed = JSON.parse(hookState(savedState({ pid: 42 }), "stopped"));
    expect(Object.keys(parsed)).toEqual(["ociVersion", "id", "status", "bundle"]);
  });
});
