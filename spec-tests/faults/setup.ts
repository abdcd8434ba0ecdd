import { execFileSync } from "node:child_process";
import { join } from "node:path";
import setUp from "../harness/setup.ts";

/** Builds the executable in which operations can be made to go wrong, from the sources as they are. */
export default function setup(): () => void {
  const root = join(import.meta.dirname, "../..");
  execFileSync(process.execPath, ["scripts/build.mjs", "--faults"], { cwd: root, stdio: "inherit" });
  return setUp();
}
