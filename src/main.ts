import { versionText } from "./version.ts";

/**
 * The program. Nothing but the version text is loaded here: engines ask `--version` often, and a module costs start-up time
 * (node:fs alone 1.7 ms of 8).
 */
async function main(argv: readonly string[]): Promise<number> {
  const only = argv.length === 1 ? argv[0] : undefined;
  if (only === "--version" || only === "-v") {
    const { writeSync } = await import("node:fs");
    try {
      writeSync(1, versionText());
      return 0;
    } catch {
      return 1; // Standard output is closed, or full.
    }
  }
  const { runCommandLine } = await import("./cli/command-line.ts");
  const { operations } = await import("./cli/operations.ts");
  return runCommandLine(argv, operations);
}

process.exit(await main(process.argv.slice(2)));
