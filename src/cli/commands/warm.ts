import { RuntsError } from "../../errors.ts";
import { coldReason } from "../../freeze/cold-reason.ts";
import { imagePath, removeWarmImage, writeWarmImage } from "../../freeze/warm-image.ts";
import type { RunCommand } from "../options/description.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeOutput } from "../output.ts";

/** `--check` has the exit code 1 for a start that is cold, so that scripts can ask. */
export const run: RunCommand = async (_context, args) => {
  if (args.flag("check") && args.flag("remove"))
    throw new UsageError("--check and --remove exclude each other", "warm");
  if (args.flag("check")) return check();
  if (args.flag("remove")) {
    removeWarmImage();
    return 0;
  }
  if (process.versions.bun === undefined) throw new RuntsError("warm: there is no warm start in Node");
  if (process.arch !== "x64") throw new RuntsError(`warm: there is no warm start on ${process.arch}`);
  writeOutput(`${writeWarmImage()}\n`);
  return 0;
};

function check(): number {
  const reason = coldReason();
  if (reason === undefined) {
    writeOutput(`warm: ${imagePath()}\n`);
    return 0;
  }
  writeOutput(`cold: ${reason.text}\n`);
  return 1;
}
