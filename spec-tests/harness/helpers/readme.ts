import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { RUNTIME } from "../runtime.ts";
import type { Sandbox } from "../sandbox.ts";

/** The repository as readers see it, who have it elsewhere. */
const SHOWN_ROOT = "/home/you/runts";
/** A bundle outside of the repository. */
const SHOWN_BUNDLE = "/home/you/box";
const ROOT = join(import.meta.dirname, "../../..");
/** Matches the whole path only: the repository may lie in a folder with a short name. */
const SHOWN_AS = new RegExp(`(?<![\\w.-])${ROOT.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?![\\w.-])`, "g");

export interface ReadmeOptions {
  /** Stands in front of each command. */
  readonly wrapper?: readonly string[];
  /** Path in the repository; by default the README.md of the example. */
  readonly page?: string;
  /** Where the commands run; by default the folder of the example. */
  readonly cwd?: string;
  /** Replaces what is different each time, in the output and in the page. */
  readonly stable?: (text: string) => string;
}

/**
 * Runs the commands of a page, each the first line of a block after `$ `, and compares what they print with the rest of
 * the block. With UPDATE_EXAMPLES=1 it is written there instead.
 */
export async function checkReadme(
  sandbox: Sandbox,
  folder: string,
  options: ReadmeOptions = {},
): Promise<void> {
  const path = join(ROOT, options.page ?? `examples/${folder}/README.md`);
  const cwd = options.cwd ?? join(ROOT, "examples", folder);
  const page = readFileSync(path, "utf8");
  const bin = sandbox.path("bin");
  mkdirSync(bin);
  // Its own state root: another test's must not show in what is printed.
  const script = `#!/bin/sh\nexec ${RUNTIME} --root ${sandbox.root} "$@"\n`;
  writeFileSync(join(bin, "runts"), script, { mode: 0o755 });
  let updated = "";
  let end = 0;
  let commands = 0;
  for (const block of page.matchAll(/^```\n\$ (.*)\n([\s\S]*?)^```$/gm)) {
    const [whole, command = "", shown = ""] = block;
    const printed = await run(sandbox, cwd, bin, command, options);
    const output = options.cwd === undefined ? printed : printed.replaceAll(options.cwd, SHOWN_BUNDLE);
    commands += 1;
    // The width of a column depends on where the repository lies.
    const stable = (text: string) => (options.stable?.(text) ?? text).replace(/ +/g, " ");
    if (process.env.UPDATE_EXAMPLES === undefined) expect(stable(shown), command).toBe(stable(output));
    updated += `${page.slice(end, block.index)}\`\`\`\n$ ${command}\n${output}\`\`\``;
    end = block.index + whole.length;
  }
  expect(commands).toBeGreaterThan(0);
  if (process.env.UPDATE_EXAMPLES !== undefined) writeFileSync(path, updated + page.slice(end));
}

async function run(
  sandbox: Sandbox,
  cwd: string,
  bin: string,
  command: string,
  { wrapper = [] }: ReadmeOptions,
): Promise<string> {
  const env = { PATH: `${bin}:/usr/sbin:/usr/bin:/sbin:/bin` };
  // The shell takes the place of the runtime under test: it finds that by its PATH.
  const { stdout, stderr } = await sandbox.run(["sh", "-c", `exec 2>&1; ${command}`], { cwd, env, wrapper });
  return (stdout + stderr)
    .replaceAll(SHOWN_AS, SHOWN_ROOT)
    .replaceAll(sandbox.root, "/run/runts")
    .replaceAll(/[ \t]+$/gm, "");
}
