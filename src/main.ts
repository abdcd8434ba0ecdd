import { isFreezing } from "./freeze/freeze-arguments.ts";
import { versionText } from "./version.ts";

/** The program, started by the engine. `--version` loads nothing else: engines ask it often. */
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

/** The program in an engine that is written down, and so in each process that starts from the image. */
async function resumed(): Promise<number> {
  const { warmUp } = await import("./warm/warm-up.ts");
  const { awaitThaw } = await import("./freeze/await-thaw.ts");
  const { runCommandLine } = await import("./cli/command-line.ts");
  const { operations } = await import("./cli/operations.ts");
  await warmUp();
  return runCommandLine(awaitThaw(), operations);
}

const given = process.argv.slice(2);
process.exit(await (isFreezing(given) ? resumed() : main(given)));
