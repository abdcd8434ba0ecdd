import { describe, expect, it } from "vitest";
import { byteLength, dataWords, joinData, needsLegacyMount } from "./data.ts";

describe("dataWords", () => {
  it.each([
    ["size=64k", ["size=64k"]],
    ["size=64k,mode=700", ["size=64k", "mode=700"]],
    [",size=64k,,mode=700,", ["size=64k", "mode=700"]],
    ["a=b\\,c", ["a=b\\", "c"]],
    ['a="b,c"', ['a="b', 'c"']],
  ])("%j ends at commas, as in mount(2)'s data", (text, words) => {
    expect(dataWords(text, "tmpfs")).toEqual(words);
  });

  it("leaves an escaped comma of an overlay in its path, with the backslash that overlay itself takes off", () => {
    expect(dataWords("lowerdir=/a\\,b:/c\\:d,upperdir=/e\\\\,volatile", "overlay")).toEqual([
      "lowerdir=/a\\,b:/c\\:d",
      "upperdir=/e\\\\",
      "volatile",
    ]);
    expect(dataWords("a,b\\", "overlay")).toEqual(["a", "b\\"]);
  });

  it.each(["context", "fscontext", "defcontext", "rootcontext"])(
    "takes the quotation marks off a %s, whose commas are its own",
    (key) => {
      expect(dataWords(`${key}="u:r:t:s0:c1,c2",size=1k`, "tmpfs")).toEqual([
        `${key}=u:r:t:s0:c1,c2`,
        "size=1k",
      ]);
      expect(dataWords(`${key}="u:r:t:s0"`, "tmpfs")).toEqual([`${key}=u:r:t:s0`]);
    },
  );
});

it("joinData puts them together as they were, a context with commas in quotation marks", () => {
  const text = 'lowerdir=/a\\,b:/c,context="u:r:t:s0:c1,c2",volatile';
  expect(joinData(dataWords(text, "overlay"))).toBe(text);
});

describe("needsLegacyMount", () => {
  const long = "x".repeat(256);

  it("is for values, keys and sources of more bytes than fsconfig(2) takes", () => {
    expect(needsLegacyMount("overlay", "overlay", ["lowerdir=/a:/b", `lowerdir=${long.slice(1)}`])).toBe(
      false,
    );
    expect(needsLegacyMount("overlay", "overlay", ["ro", `lowerdir=${long}`])).toBe(true);
    expect(needsLegacyMount("tmpfs", long, [])).toBe(true);
    expect(needsLegacyMount("tmpfs", "tmpfs", [long])).toBe(true);
    expect(needsLegacyMount("tmpfs", "tmpfs", [`${long}=1`])).toBe(true);
    expect(needsLegacyMount("tmpfs", "é".repeat(127), [])).toBe(false);
    expect(needsLegacyMount("tmpfs", "é".repeat(128), [])).toBe(true);
  });

  it("is for paths of an overlay with commas, but not for contexts", () => {
    expect(needsLegacyMount("overlay", "overlay", ["lowerdir=/a\\,b:/c"])).toBe(true);
    expect(needsLegacyMount("overlay", "overlay", ["context=u:r:t:s0:c1,c2"])).toBe(false);
  });
});

it("byteLength counts as the kernel does", () => {
  expect(byteLength("aé€")).toBe(6);
});
