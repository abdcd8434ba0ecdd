import { expect, it } from "vitest";
import { sampleState } from "../sample-state.test-support.ts";
import { formatJson, formatTable } from "./list.ts";

it("without containers, prints only the header", () => {
  expect(formatTable([])).toBe("ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
});

it("aligns the columns, counting characters and not UTF-16 units", () => {
  const second = {
    ...sampleState,
    id: "a-rather-long-name",
    bundle: "/𝕏",
    pid: 0,
    status: "stopped" as const,
  };
  expect(formatTable([sampleState, second]).split("\n")).toEqual([
    "ID                   PID         STATUS      BUNDLE      CREATED                          OWNER",
    "box                  42          running     /bundle     2026-01-02T03:04:05.678901234Z   root",
    "a-rather-long-name   0           stopped     /𝕏          2026-01-02T03:04:05.678901234Z   root",
    "",
  ]);
});

it("escapes newlines and control characters of a bundle's path", () => {
  const table = formatTable([{ ...sampleState, bundle: "/a\nforged\x1b[31m\u202e" }]);
  expect(table.split("\n")).toEqual([
    "ID          PID         STATUS      BUNDLE                     CREATED                          OWNER",
    "box         42          running     /a\\nforged\\x1b[31m\\u202e   2026-01-02T03:04:05.678901234Z   root",
    "",
  ]);
});

it("prints JSON on one line; null without containers", () => {
  expect(formatJson([])).toBe("null");
  expect(formatJson([sampleState])).toBe(
    '[{"ociVersion":"1.3.0","id":"box","pid":42,"status":"running","bundle":"/bundle","rootfs":"/bundle/rootfs",' +
      '"created":"2026-01-02T03:04:05.678901234Z","annotations":{"key":"value"},"owner":"root"}]',
  );
});
