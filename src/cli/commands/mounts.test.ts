import { beforeEach, expect, it, vi } from "vitest";
import type { MountEntry } from "../../container/mounts.ts";
import { runCommandLine } from "../command-line.ts";
import { forgetWritten, written } from "../written.test-support.ts";
import { formatJson, formatTable, mountsCommand } from "./mounts.ts";

vi.mock("../../../bindings/linux/files.ts", async (original) => {
  const { capturingFiles } = await import("../written.test-support.ts");
  return capturingFiles(original);
});

beforeEach(forgetWritten);

/** The name of its mount point contains a control character. */
const mount: MountEntry = {
  id: 31,
  destination: "/mnt/\u001b[31m",
  type: "ext4",
  source: "/dev/vda",
  root: "/srv",
  options: ["ro", "nosuid"],
};

it("escapes control characters of names in the table", () => {
  expect(formatTable([mount])).toBe(
    "DESTINATION     TYPE   SOURCE           OPTIONS\n/mnt/\\x1b[31m   ext4   /dev/vda[/srv]   ro,nosuid\n",
  );
});

it("prints JSON without the kernel's mount ids", () => {
  expect(formatJson([mount])).toBe(
    '[{"destination":"/mnt/\\u001b[31m","type":"ext4","source":"/dev/vda","root":"/srv","options":["ro","nosuid"]}]',
  );
});

it.each([
  [["change", "box"], 'mounts "change": must be add, remove or list'],
  [["add", "box"], "mounts add needs a file with a list of mounts"],
  [["remove", "box"], "mounts remove needs a file with a list of mounts"],
  [["list", "box", "file"], "mounts list takes no file"],
  [["list", "--format", "yaml", "box"], "invalid format option"],
])("%j: refused", async (argv, message) => {
  expect(await runCommandLine(["mounts", ...argv], [mountsCommand])).toBe(1);
  expect(written.err).toContain(`runts: ${message}\n`);
});
