import { execFileSync } from "node:child_process";
import { join } from "node:path";
import setUp from "../harness/setup.ts";

/** Builds the executable in which operations can be made to fail, from the current sources. */
export default function setup(): () => void {
  const root = join(import.meta.dirname, "../..");
  execFileSync(process.execPath, ["scripts/build.mjs", "--faults"], { cwd: root, stdio: "inherit" });
  return setUp();
}
