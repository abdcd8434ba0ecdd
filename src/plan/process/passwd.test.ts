import { describe, expect, it } from "vitest";
import { testPlan } from "../plan.test-support.ts";
import { homeOf, openPasswd, readByteText } from "./passwd.ts";

describe("homeOf", () => {
  const passwd =
    "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:\nbare:x:7:7::\nempty:x:8:8:::\n";
  it.each([
    [0, "/root"],
    [1000, "/home/user"],
    [7, "/"],
    [8, "/"],
    [100, "/"],
  ])("uid %i", (uid, home) => {
    expect(homeOf(passwd, uid)).toBe(home);
  });

  it("is / for an empty or malformed file, and compares the whole number", () => {
    expect(homeOf("", 0)).toBe("/");
    expect(homeOf("garbage\n:::::\n", 0)).toBe("/");
    expect(homeOf("a:x:10:1::/ten:\na:x:1:1::/one:\n", 1)).toBe("/one");
  });

  it("takes the first of several lines for a user", () => {
    expect(homeOf("a:x:1:1::/first:\nb:x:1:1::/second:\n", 1)).toBe("/first");
  });
});

describe("readByteText", () => {
  it("is the text that was read, and empty without a file", () => {
    const { program, plan } = testPlan({});
    const file = openPasswd(program, plan.root);
    const read = readByteText(program, file, 16);
    expect(program.operations[1]).toMatchObject({ guard: { on: file, is: "ok" }, tolerate: ["any"] });
    const outputs = [Buffer.from("root:x\0\0\0\0\0\0\0\0\0\0")];
    expect(read({ results: [5, 6], outputs, failure: undefined })).toBe("root:x");
    expect(read({ results: [-2, 0], outputs, failure: undefined })).toBe("");
    expect(read({ results: [5, -21], outputs, failure: undefined })).toBe("");
  });

  it("has a character for each byte, whatever the encoding", () => {
    const { program, plan } = testPlan({});
    const read = readByteText(program, openPasswd(program, plan.root), 16);
    const bytes = Uint8Array.of(0x2f, 0xc3, 0xb6, 0x80, 0x9f, 0xff);
    const text = read({ results: [5, bytes.length], outputs: [bytes], failure: undefined });
    expect(Array.from(text, (character) => character.charCodeAt(0))).toEqual([...bytes]);
  });
});
