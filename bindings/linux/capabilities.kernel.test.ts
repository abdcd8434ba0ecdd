import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH } from "../abi/capability.ts";
import { withoutFileCapabilities } from "./capabilities.ts";

function effective(): bigint {
  const status = readFileSync("/proc/thread-self/status", "latin1");
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
}

describe("withoutFileCapabilities", () => {
  const lowered = (1n << BigInt(CAP_DAC_OVERRIDE)) | (1n << BigInt(CAP_DAC_READ_SEARCH));

  it("removes two capabilities during the action", () => {
    const before = effective();
    expect(withoutFileCapabilities(effective)).toBe(before & ~lowered);
    expect(effective()).toBe(before);
  });

  it("restores them after an error", () => {
    const before = effective();
    const fail = () => {
      throw new Error("failed");
    };
    expect(() => withoutFileCapabilities(fail)).toThrow("failed");
    expect(effective()).toBe(before);
  });
});
