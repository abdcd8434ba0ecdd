import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBaseRootfs } from "../rootfs.ts";
import { RUNTIME } from "../runtime.ts";

/** Runs once before all tests in guests: these need nothing of the host's cgroups. */
export default function setup(): () => void {
  if (!existsSync(RUNTIME)) throw new Error(`no runtime at ${RUNTIME}: run npm run build, or set RUNTIME`);
  const directory = mkdtempSync(join(tmpdir(), "rspec-base-"));
  // Users of the guests look into it.
  chmodSync(directory, 0o755);
  buildBaseRootfs(join(directory, "rootfs"));
  process.env.SPEC_TEST_BASE = directory;
  return () => rmSync(directory, { recursive: true, force: true });
}
