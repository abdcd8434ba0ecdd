import { describe, expect, it } from "vitest";
import { byteLength, dataWords, joinData, needsLegacyMount } from "./data.ts";

describe("dataWords", () => {
  it.each([
    ["size=64k", ["size=64k"]],
    ["size=64k,mode=700", ["size=64k", "mode=700"]],
    [",size=64k,,mode=700,", ["size=64k", "mode=700"]],
    ["a=b\\,c", ["a=b\\", "c"]],
    ['a="b,c"', ['a="b', 'c"']],
  ])("splits %j at its commas, like mount(2)'s data", (text, words) => {
    expect(dataWords(text, "tmpfs")).toEqual(words);
  });

  it("keeps an escaped comma in a path of overlay, with the backslash, which overlay itself strips", () => {
    expect(dataWords("lowerdir=/a\\,b:/c\\:d,upperdir=/e\\\\,volatile", "overlay")).toEqual([
      "lowerdir=/a\\,b:/c\\:d",
      "upperdir=/e\\\\",
      "volatile",
    ]);
    expect(dataWords("a,b\\", "overlay")).toEqual(["a", "b\\"]);
  });

  it.each(["context", "fscontext", "defcontext", "rootcontext"])(
    "strips the quotes of a %s, and keeps its commas",
    (key) => {
      expect(dataWords(`${key}="u:r:t:s0:c1,c2",size=1k`, "tmpfs")).toEqual([
        `${key}=u:r:t:s0:c1,c2`,
        "size=1k",
      ]);
      expect(dataWords(`${key}="u:r:t:s0"`, "tmpfs")).toEqual([`${key}=u:r:t:s0`]);
    },
  );
});

it("joinData joins the words with commas, and quotes a context that has commas", () => {
  const text = 'lowerdir=/a\\,b:/c,context="u:r:t:s0:c1,c2",volatile';
  expect(joinData(dataWords(text, "overlay"))).toBe(text);
});

describe("needsLegacyMount", () => {
  const long = "x".repeat(256);

  it("is true for values, keys and sources with more bytes than fsconfig(2) takes", () => {
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

  it("is true for paths of overlay with commas, but not for contexts", () => {
    expect(needsLegacyMount("overlay", "overlay", ["lowerdir=/a\\,b:/c"])).toBe(true);
    expect(needsLegacyMount("overlay", "overlay", ["context=u:r:t:s0:c1,c2"])).toBe(false);
  });
});

it("byteLength counts bytes, as the kernel does", () => {
  expect(byteLength("aé€")).toBe(6);
});
