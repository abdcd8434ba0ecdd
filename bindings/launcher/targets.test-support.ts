import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arm64SkipReason, compileChecked, qemu, writeImage } from "../native-image.test-support.ts";

/** A build of the launcher to test. */
interface Target {
  readonly name: string;
  readonly skipReason: string | false;
  /** Command of an emulator, which takes argv[0] as an argument. */
  readonly emulator: readonly string[];
  /** Whether a dynamic loader runs first, which obeys its own variables. */
  readonly hasLoader: boolean;
  prepare(directory: string): string;
}

/** Compiles launcher.c with a libc, whose `_start` runs first; argc precedes argv on the stack. */
const hostedLauncher = `
#include "${join(import.meta.dirname, "launcher.c")}"
int main(int argc, char **argv) { (void)argc; start((u64 *)argv - 1); }
`;

const machine = process.arch === "arm64" ? "arm64" : "x64";
export const targets: readonly Target[] = [
  {
    name: machine,
    skipReason: false,
    emulator: [],
    hasLoader: false,
    prepare: (directory) => writeImage(directory, "launcher", machine),
  },
  {
    name: "arm64 in qemu",
    skipReason: arm64SkipReason,
    emulator: [qemu, "-0", "odd name"],
    hasLoader: true,
    prepare: (directory) => writeImage(directory, "launcher", "arm64"),
  },
  {
    name: "sanitizers of gcc",
    skipReason: canCompileChecked() ? false : "needs gcc with libasan and libubsan",
    emulator: [],
    hasLoader: true,
    prepare: (directory) => {
      const file = compileChecked(directory, "runts", hostedLauncher);
      if (file === undefined) throw new Error("gcc could not compile launcher.c with sanitizers");
      return file;
    },
  },
];

function canCompileChecked(): boolean {
  const directory = mkdtempSync(join(tmpdir(), "runts-launcher-"));
  const file = compileChecked(directory, "runts", "int main(void) { return 0; }");
  rmSync(directory, { recursive: true });
  return file !== undefined;
}
