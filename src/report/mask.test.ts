import { describe, expect, it } from "vitest";
import { tokensOf } from "./config-lines.ts";
import { MASK, maskedToken, maskFor } from "./mask.ts";

const shown = (config: object) => tokensOf(JSON.stringify(config)).map(maskedToken).join("");
const masked = (config: object, text: string) => maskFor(tokensOf(JSON.stringify(config)))(text);

describe("maskedToken", () => {
  it("hides values of environments and annotations, and keeps names", () => {
    const config = {
      process: { env: ["A=1", "odd", "B="], args: ["x"] },
      hooks: { prestart: [{ path: "/x", env: ["C=secret"] }] },
      annotations: { "d=": "secret", e: "F=secret" },
    };
    expect(JSON.parse(shown(config))).toEqual({
      process: { env: [`A=${MASK}`, MASK, `B=${MASK}`], args: ["x"] },
      hooks: { prestart: [{ path: "/x", env: [`C=${MASK}`] }] },
      annotations: { "d=": MASK, e: MASK },
    });
  });

  it("hides values of any kind in misspelt members, and below them", () => {
    const config = { process: { Env: ["A=1"], environment: { B: "2", c: [3, true] } }, annotation: { d: 4 } };
    expect(JSON.parse(shown(config))).toEqual({
      process: { Env: [`A=${MASK}`], environment: { B: MASK, c: [MASK, MASK] } },
      annotation: { d: MASK },
    });
  });

  it("hides a value in the place of an environment", () => {
    const config = { process: { env: "A=secret" }, annotations: ["secret", 1], hooks: { env: 2 } };
    expect(JSON.parse(shown(config))).toEqual({
      process: { env: MASK },
      annotations: [MASK, MASK],
      hooks: { env: MASK },
    });
  });

  it("writes escaped text anew, in which maskFor finds secrets", () => {
    const [, , , token] = tokensOf('{"hostname":"\\u0061b\\"c"}');
    expect(token && maskedToken(token)).toBe('"ab\\"c"');
  });
});

describe("maskFor", () => {
  const config = {
    process: {
      env: ["KEY=abc123def", 'QUOTED=a"b\\c\ndef', "TERM=xterm", "PATH=/usr/bin", "SHORT=abcdef", "TINY=1"],
      args: ["db", "--password=p4ssword!", "--token", "t0ken-t0ken", "postgres://me:url-secret@db/x"],
    },
    hooks: { prestart: [{ path: "/x", env: ["HOOK=hook-secret"] }] },
    annotations: { a: "annotation-secret", "org.systemd.property.X": "'quoted-secret'" },
  };

  it.each([
    ["x abc123def y", `x ${MASK} y`],
    ["xabc123defy", `x${MASK}y`],
    ["KEY=abc123def", `KEY=${MASK}`],
    ["hook-secret annotation-secret", `${MASK} ${MASK}`],
    ['["QUOTED=a\\"b\\\\c\\ndef"]', `["QUOTED=${MASK}"]`],
    ['{\\"a\\":\\"a\\\\\\"b\\\\\\\\c\\\\ndef\\"}', `{\\"a\\":\\"${MASK}\\"}`],
    ['X = "quoted-secret"', `X = "${MASK}"`],
    ['a"b\\c\ndef', MASK],
    ['a"b\\c\\ndef', MASK],
    ["TERM=xterm PATH=/usr/bin TINY=1", `TERM=${MASK} PATH=${MASK} TINY=${MASK}`],
    ["bind /usr/bin, 1 xterm", "bind /usr/bin, 1 xterm"],
    ["abcdef xabcdef abcdefx", `${MASK} xabcdef abcdefx`],
    ["--password=p4ssword! --token t0ken-t0ken", `--password=${MASK} --token ${MASK}`],
    ["postgres://me:url-secret@db/x", `postgres://me:${MASK}@db/x`],
  ])("%s becomes %s", (text, result) => {
    expect(masked(config, text)).toBe(result);
  });

  it("replaces the longest of values that begin alike", () => {
    expect(masked({ process: { env: ["A=prefix-1", "B=prefix-1-and-more"] } }, "prefix-1-and-more")).toBe(
      MASK,
    );
  });

  it("finds a value with half of a surrogate pair, as JSON has it and as the kernel gets it", () => {
    const lone = { process: { env: ["KEY=abc\ud800def", "LIST"] } };
    for (const text of ["abc\ud800def", "abc\ufffddef", String.raw`abc\ud800def`])
      expect(masked(lone, `<${text}>`)).toBe(`<${MASK}>`);
  });

  it("finds a value in the place of an environment", () => {
    expect(masked({ process: { env: "abc123def" } }, "x abc123def y")).toBe(`x ${MASK} y`);
  });

  it("changes nothing for a config without secrets", () => {
    expect(masked({ process: { env: [], args: ["a"] } }, "a b")).toBe("a b");
  });
});
