import { describe, expect, it } from "vitest";
import { journalEntry, syslogLine } from "./system-log.ts";

const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("journalEntry", () => {
  it("has a line for each field, and none for what is not known", () => {
    const entry = journalEntry({ level: "error", message: "it's bad", pointer: "/root" }, "web", "one");
    expect(decoded(entry)).toBe(
      "MESSAGE=it's bad\nPRIORITY=3\nSYSLOG_IDENTIFIER=web\nCONTAINER_ID=one\nRUNTS_POINTER=/root\n",
    );
    expect(decoded(journalEntry({ level: "info", message: "é", pointer: "" }, "web", undefined))).toBe(
      "MESSAGE=é\nPRIORITY=6\nSYSLOG_IDENTIFIER=web\n",
    );
  });

  it("lets no value begin another field", () => {
    const entry = journalEntry(
      { level: "warning", message: "a\nPRIORITY=0", pointer: "/a\n" },
      "i\nX=1",
      "c\nY=1",
    );
    expect(decoded(entry)).toBe(
      "MESSAGE=a\\nPRIORITY=0\nPRIORITY=4\nSYSLOG_IDENTIFIER=i\\nX=1\nCONTAINER_ID=c\\nY=1\nRUNTS_POINTER=/a\\n\n",
    );
  });
});

describe("syslogLine", () => {
  it.each([
    ["debug", 15],
    ["info", 14],
    ["warning", 12],
    ["error", 11],
  ] as const)("%s has the priority %d of LOG_USER", (level, priority) => {
    expect(syslogLine({ level, message: "a\nb" }, "web")).toBe(`<${priority}>web: a\\nb`);
  });
});
