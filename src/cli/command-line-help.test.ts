import { beforeEach, describe, expect, it, vi } from "vitest";
import { versionText } from "../version.ts";
import { runCommandLine } from "./command-line.ts";
import { commands } from "./commands.ts";
import { globalOptions } from "./options/global-options.ts";
import { forgetWritten, written } from "./written.test-support.ts";

vi.mock("../../bindings/linux/files.ts", async (original) => {
  const { capturingFiles } = await import("./written.test-support.ts");
  return capturingFiles(original);
});

beforeEach(forgetWritten);

async function runts(...argv: string[]) {
  return { code: await runCommandLine(argv, commands), ...written };
}

describe("help and version", () => {
  it.each([[["--version"]], [["-v"]], [["--debug", "-version", "state"]]])("%j", async (argv) => {
    expect(await runts(...argv)).toEqual({ code: 0, out: versionText(), err: "" });
  });

  it.each([[[]], [["--help"]], [["-h"]], [["help"]], [["h"]]])(
    "%j shows every command and global option",
    async (argv) => {
      const { code, out } = await runts(...argv);
      expect(code).toBe(0);
      // A summary may go over two lines, but not into the next command.
      const text = out.replace(/\s+/g, " ");
      for (const { name, summary } of commands)
        expect(text).toMatch(new RegExp(`runts ${name} ((?!runts ).)*${summary}`));
      for (const name of Object.keys(globalOptions)) expect(out).toContain(`--${name} `);
    },
  );

  it.each(commands)("help $name shows its options", async ({ name, options, positionals }) => {
    for (const argv of [
      ["help", name],
      [name, "--help"],
      [name, "--help=true"],
      [name, "-h"],
      ["--help", name],
    ]) {
      written.out = "";
      const { code, out } = await runts(...argv);
      expect(code).toBe(0);
      expect(out).toContain(`runts ${name} [options] ${positionals.usage}`.trimEnd());
      for (const option of Object.keys(options)) expect(out).toContain(`--${option} `);
    }
  });
});
