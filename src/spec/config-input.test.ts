import { describe, expect, it } from "vitest";
import { defaultConfig } from "../container/template.ts";
import { parseConfig } from "./config.ts";
import { configText } from "./config-input.ts";

describe("configText", () => {
  it("is read back with 64-bit integers whole, whether they were numbers or bigints", () => {
    const config = defaultConfig();
    config.linux.resources = { memory: { limit: 2 ** 40, swap: 9_223_372_036_854_775_807n } };
    expect(parseConfig(configText(config), "config").linux?.resources?.memory).toEqual({
      limit: 2n ** 40n,
      swap: 9_223_372_036_854_775_807n,
    });
  });
});
