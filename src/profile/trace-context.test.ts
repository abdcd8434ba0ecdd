import { describe, expect, it } from "vitest";
import { callerContext } from "./trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const VALID = `00-${TRACE}-${SPAN}-01`;

describe("callerContext", () => {
  it("has the parts of TRACEPARENT", () => {
    expect(callerContext(VALID, undefined)).toEqual({ traceId: TRACE, spanId: SPAN, flags: 1, state: "" });
    expect(callerContext(`00-${TRACE}-${SPAN}-00`, undefined)?.flags).toBe(0);
  });

  it("takes the first four parts of a later version", () => {
    expect(callerContext(`cc-${TRACE}-${SPAN}-09-what-comes`, undefined)).toMatchObject({
      spanId: SPAN,
      flags: 9,
    });
  });

  it.each([
    ["nothing", undefined],
    ["an empty value", ""],
    ["version ff", `ff-${TRACE}-${SPAN}-01`],
    ["version 00 with a further part", `${VALID}-x`],
    ["a later version without a dash before its further part", `cc-${TRACE}-${SPAN}-01x`],
    ["a trace id of zeros", `00-${"0".repeat(32)}-${SPAN}-01`],
    ["a parent id of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["upper case", VALID.toUpperCase()],
    ["a trace id that is too short", `00-${TRACE.slice(1)}-${SPAN}-01`],
    ["a line break", `${VALID}\n`],
    ["blanks around it", ` ${VALID} `],
  ])("is undefined for %s", (_, traceparent) => {
    expect(callerContext(traceparent, "a=b")).toBeUndefined();
  });

  it("keeps TRACESTATE, without blanks around the members and empty members", () => {
    expect(callerContext(VALID, "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE ,, 4tenant@sys=a b")?.state).toBe(
      "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,4tenant@sys=a b",
    );
  });

  it.each([
    ["no value", "a="],
    ["no key", "=b"],
    ["a key in upper case", "A=b"],
    ["an equals sign in a value", "a=b=c"],
    ["a character that is not ASCII", "a=ü"],
    ["a control character", "a=b\u0001"],
    ["a key that is there twice", "a=b,c=d,a=e"],
    ["33 members", Array.from({ length: 33 }, (_, index) => `k${index}=v`).join(",")],
    ["a key of 257 characters", `${"k".repeat(257)}=v`],
  ])("drops the whole TRACESTATE for %s", (_, tracestate) => {
    expect(callerContext(VALID, tracestate)).toMatchObject({ traceId: TRACE, state: "" });
  });
});
