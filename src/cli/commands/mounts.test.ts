import { beforeEach, expect, it, vi } from "vitest";
import { recordingOperations } from "../capture.test-support.ts";
import { runCommandLine } from "../command-line.ts";
import { forgetWritten, written } from "../written.test-support.ts";

vi.mock("../../../bindings/linux/files.ts", async (original) => {
  const { capturingFiles } = await import("../written.test-support.ts");
  return capturingFiles(original);
});

beforeEach(forgetWritten);

it.each([
  ["add", "addMounts"],
  ["remove", "removeMounts"],
])("%s: hands over the file", async (action, operation) => {
  const { operations, calls } = recordingOperations();
  expect(await runCommandLine(["mounts", action, "box", "list.json"], operations)).toBe(0);
  expect({ calls, ...written }).toEqual({ calls: [[operation, "box", "list.json"]], out: "", err: "" });
});

it("list: a table that no name in the container can break, or JSON without the kernel's ids", async () => {
  const { operations } = recordingOperations();
  expect(await runCommandLine(["mounts", "list", "box"], operations)).toBe(0);
  expect(written.out).toBe(
    "DESTINATION     TYPE   SOURCE           OPTIONS\n/mnt/\\x1b[31m   ext4   /dev/vda[/srv]   ro,nosuid\n",
  );
  written.out = "";
  expect(await runCommandLine(["mounts", "list", "--format", "json", "box"], operations)).toBe(0);
  expect(written.out).toBe(
    '[{"destination":"/mnt/\\u001b[31m","type":"ext4","source":"/dev/vda","root":"/srv","options":["ro","nosuid"]}]\n',
  );
});

it.each([
  [["change", "box"], 'mounts "change": must be add, remove or list'],
  [["add", "box"], "mounts add needs a file with a list of mounts"],
  [["remove", "box"], "mounts remove needs a file with a list of mounts"],
  [["list", "box", "file"], "mounts list takes no file"],
  [["list", "--format", "yaml", "box"], "invalid format option"],
])("%j: refused", async (argv, message) => {
  const { operations, calls } = recordingOperations();
  expect(await runCommandLine(["mounts", ...argv], operations)).toBe(1);
  expect(calls).toEqual([]);
  expect(written.err).toContain(`runts: ${message}\n`);
});
