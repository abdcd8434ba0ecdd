import { isFreezing } from "./freeze/freeze-arguments.ts";
import { versionText } from "./version.ts";

/** The program in a cold start. `--version` loads nothing else: engines call it often. */
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
  const { commands } = await import("./cli/commands.ts");
  return runCommandLine(argv, commands);
}

/** The program in the process that `warm` saves as the image. A warm start continues it from `awaitThaw`. */
async function resumed(): Promise<number> {
  const { warmUp } = await import("./warm/warm-up.ts");
  const { awaitThaw } = await import("./freeze/await-thaw.ts");
  const { runCommandLine } = await import("./cli/command-line.ts");
  const { commands } = await import("./cli/commands.ts");
  await warmUp();
  return runCommandLine(awaitThaw(), commands);
}

const given = process.argv.slice(2);
process.exit(await (isFreezing(given) ? resumed() : main(given)));
