import { beforeEach, expect, it, vi } from "vitest";
import { runCommandLine } from "../command-line.ts";
import { forgetWritten, written } from "../written.test-support.ts";
import { devicesCommand, formatTable } from "./devices.ts";

vi.mock("../../../bindings/linux/files.ts", async (original) => {
  const { capturingFiles } = await import("../written.test-support.ts");
  return capturingFiles(original);
});

beforeEach(forgetWritten);

it("escapes control characters of paths in the table, and ends no line with blanks", () => {
  const numbers = { type: "c", major: 10, minor: 229 } as const;
  const table = formatTable([
    { ...numbers, path: "/dev/\u001b[31m", access: "", origin: "config" },
    { ...numbers, path: "/dev/b", access: "rw", origin: "added", source: "/dev/fuse" },
  ]);
  expect(table).toBe(
    [
      "DEVICE          TYPE   NUMBER   ACCESS   ORIGIN   SOURCE",
      "/dev/\\x1b[31m   c      10:229   -        config",
      "/dev/b          c      10:229   rw       added    /dev/fuse",
      "",
    ].join("\n"),
  );
});

it.each([
  [["change", "box"], 'devices "change": must be add, remove or list'],
  [["add", "box"], "devices add needs a device"],
  [["remove", "box"], "devices remove needs a device"],
  [["list", "box", "/dev/null"], "devices list takes no device"],
  [["list", "--format", "yaml", "box"], "invalid format option"],
  [["add", "box", "null"], 'null: "null" must be an absolute path'],
])("%j: refused", async (argv, message) => {
  expect(await runCommandLine(["devices", ...argv], [devicesCommand])).toBe(1);
  expect(written.err).toContain(`runts: ${message}\n`);
});
