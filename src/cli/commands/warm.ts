import { RuntsError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { noArguments } from "../options/shared-options.ts";
import { UsageError } from "../options/usage-error.ts";
import { writeOutput } from "../output.ts";

export const warmCommand = defineCommand({
  name: "warm",
  summary: "write the image that speeds up each start",
  positionals: noArguments,
  options: {
    check: {
      type: "boolean",
      description: "print whether this start was warm, and if not, why; exit code 1 if not",
    },
    remove: { type: "boolean", description: "remove the image: all starts are cold after that" },
  },
  usesState: false,
  description: [
    "Writes an image of the program's memory, taken when its code is loaded and it is ready to work, beside the executable: `runts-warm`. " +
      "After that each command starts from the image, in a fraction of the time. What a command does stays the same.",
    "An image is valid for one machine and one boot. If anything no longer matches, such as an updated library, a start is cold, as without " +
      "an image. `RUNTS_COLD=1` in the environment also makes it cold. Anybody who may write to the executable's directory can make an " +
      "image, without being root. Only x86-64 has warm starts.",
    "A copy of the installation needs its own image; a moved installation keeps its image. The file system must support O_TMPFILE (open(2)), " +
      "and ptrace(2) of a child must be allowed: `kernel.yama.ptrace_scope` may be at most 2 for root, and at most 1 for other users.",
  ],
  examples: [
    ["runts warm", "at boot, and after an update"],
    ["runts warm --check", "whether this command started from the image, and if not, why"],
    ["runts warm --remove", "to start cold again"],
  ],
  exitStatus: [
    ["0", "the image was written or removed; with --check, the start was warm"],
    ["1", "the image can't be written, or does not work; with --check, the start was cold"],
  ],
  // Imports on demand: the modules load parts of Node, which takes some 4 ms.
  async run(_context, { options: { check, remove } }) {
    if (check && remove) throw new UsageError("--check and --remove exclude each other", "warm");
    const { imagePath, removeWarmImage, writeWarmImage } = await import("../../freeze/warm-image.ts");
    if (check) {
      const { coldReason } = await import("../../freeze/cold-reason.ts");
      const reason = coldReason();
      writeOutput(reason === undefined ? `warm: ${imagePath()}\n` : `cold: ${reason.text}\n`);
      // Scripts ask by the exit code.
      return reason === undefined ? 0 : 1;
    }
    if (remove) {
      removeWarmImage();
      return 0;
    }
    if (process.versions.bun === undefined) throw new RuntsError("warm: there is no warm start in Node");
    if (process.arch !== "x64") throw new RuntsError(`warm: there is no warm start on ${process.arch}`);
    writeOutput(`${writeWarmImage()}\n`);
    return 0;
  },
});
