import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { formatEntry, openLog } from "./log.ts";

const standardError = vi.hoisted(() => ({ text: "" }));
vi.mock("../bindings/linux/files.ts", async (original) => {
  const files = await original<typeof import("../bindings/linux/files.ts")>();
  const writeSync = (fd: number, text: string) => {
    if (fd !== 2) return files.writeSync(fd, text);
    standardError.text += text;
    return text.length;
  };
  return { ...files, writeSync };
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "runts-log-"));
  standardError.text = "";
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("formatEntry", () => {
  const time = new Date("2026-01-02T03:04:05.678Z");

  it("writes logrus's text", () => {
    expect(formatEntry("text", { level: "error", message: 'open "x"\nfailed', pointer: "", time })).toBe(
      'time="2026-01-02T03:04:05Z" level=error msg="open \\"x\\"\\nfailed"\n',
    );
  });

  it.each(["text", "json"] as const)("leaves nothing that a terminal acts on: %s", (format) => {
    const entry = formatEntry(format, {
      level: "info",
      message: "\x1b\x7f\x9b\u061c\u202e\u2066\u2028 \u00e9",
      pointer: "",
      time,
    });
    expect(entry).toMatch(/^[ -~\u00e9]*\n$/);
    expect(entry).toContain('"\\u001b\\u007f\\u009b\\u061c\\u202e\\u2066\\u2028 \u00e9"');
  });

  it("writes one JSON object a line", () => {
    expect(formatEntry("json", { level: "warning", message: "a\nb", pointer: "", time })).toBe(
      '{"level":"warning","msg":"a\\nb","time":"2026-01-02T03:04:05Z"}\n',
    );
  });
});

describe("formatEntry with a pointer", () => {
  const entry = { level: "debug", message: "m", time: new Date(0) } as const;

  it.each([
    ["/mounts/0", "/mounts/0"],
    ["/linux/sysctl/net~1x y", '"/linux/sysctl/net~1x y"'],
    ["/a\nb\u202e", '"/a\\nb\\u202e"'],
  ])("%j: written as a field of logrus", (pointer, text) => {
    expect(formatEntry("text", { ...entry, pointer })).toBe(
      `time="1970-01-01T00:00:00Z" level=debug msg="m" pointer=${text}\n`,
    );
    expect(JSON.parse(formatEntry("json", { ...entry, pointer }))).toMatchObject({ pointer });
  });
});

describe("openLog", () => {
  const levels = (text: string) => [...text.matchAll(/level=(\w+)/g)].map((match) => match[1]);
  const writeAll = (log: ReturnType<typeof openLog>) => {
    log.debug("d");
    log.info("i");
    log.warn("w");
    log.error("e");
  };

  it("writes to standard error without a file, the error as a plain line", () => {
    writeAll(openLog({ format: "text", debug: false }));
    expect(levels(standardError.text)).toEqual(["info", "warning"]);
    expect(standardError.text.split("\n").at(-2)).toBe("runts: e");
  });

  it("writes an error on one line, what a terminal would act on as its number", () => {
    openLog({ format: "text", debug: false }).error("\x1b[31mred\x7f\x9b\u202e\r, \u00e9:\n\tmore");
    expect(standardError.text).toBe("runts: \\x1b[31mred\\x7f\\x9b\\u202e\\r, \u00e9:\\n\tmore\n");
  });

  it("writes debug entries when asked for", () => {
    writeAll(openLog({ format: "text", debug: true }));
    expect(levels(standardError.text)).toEqual(["debug", "info", "warning"]);
  });

  it("writes JSON to standard error when asked for without a file", () => {
    openLog({ format: "json", debug: false }).error("e");
    expect(JSON.parse(standardError.text)).toMatchObject({ level: "error", msg: "e" });
  });

  it("writes to a file, and errors to standard error too", () => {
    const file = join(directory, "log.json");
    writeAll(openLog({ file, format: "json", debug: false }));
    const entries = readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(entries.map(({ level }) => level)).toEqual(["info", "warning", "error"]);
    expect(standardError.text).toBe("runts: e\n");
  });

  it("appends", () => {
    const file = join(directory, "log");
    openLog({ file, format: "text", debug: false }).warn("one");
    openLog({ file, format: "text", debug: false }).warn("two");
    expect(levels(readFileSync(file, "utf8"))).toEqual(["warning", "warning"]);
  });

  it("fails at once when the file can't be opened, and makes no directory for it", () => {
    const file = join(directory, "a/log");
    expect(() => openLog({ file, format: "text", debug: false })).toThrow(/^open log: .*ENOENT/);
    expect(existsSync(join(directory, "a"))).toBe(false);
    expect(() => openLog({ file: directory, format: "text", debug: false })).toThrow(/^open log: .*EISDIR/);
  });
});
