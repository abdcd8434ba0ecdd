import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBaseRootfs } from "../rootfs.ts";

/** Runs once before all tests of the packages: makes the root file system of their containers. */
export default function setup(): () => void {
  if (process.env.PACKAGE_TEST_PACKAGES === undefined)
    throw new Error("npm run test:package makes the packages and starts these tests");
  const directory = mkdtempSync(join(tmpdir(), "rspec-base-"));
  buildBaseRootfs(join(directory, "rootfs"));
  process.env.SPEC_TEST_BASE = directory;
  return () => rmSync(directory, { recursive: true, force: true });
}
