import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { differingNamespaces } from "./namespaces.ts";

describe("differingNamespaces", () => {
  it("returns none for this process itself", () => {
    expect(differingNamespaces(process.pid)).toBe(0);
  });

  it("throws for a process that has ended", () => {
    const { pid } = spawnSync("true");
    expect(() => differingNamespaces(pid)).toThrow(
      expect.objectContaining({
        message: `cannot join the namespaces of a container that has stopped: process ${pid} is gone`,
        errno: "ESRCH",
      }),
    );
  });
});
