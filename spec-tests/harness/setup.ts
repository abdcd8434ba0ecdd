import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBaseRootfs } from "./rootfs.ts";
import { RUNTIME, which } from "./runtime.ts";

/** Runs once before all spec tests: checks the machine, with plain words, and makes what the tests share. */
export default function setup(): () => void {
  if (process.getuid?.() !== 0) throw new Error("the spec tests must run as root: they make containers");
  const fileSystem = execFileSync("stat", ["-f", "-c", "%T", "/sys/fs/cgroup"], { encoding: "utf8" }).trim();
  if (fileSystem !== "cgroup2fs") {
    throw new Error(
      `/sys/fs/cgroup is ${fileSystem}, not cgroup2: run spec-tests/harness/unified-cgroup.sh npx vitest run --project spec`,
    );
  }
  if (!existsSync(RUNTIME)) throw new Error(`no runtime at ${RUNTIME}: run npm run build, or set RUNTIME`);
  if (which("python3") === undefined) throw new Error("the spec tests need python3: apt-get install python3");
  const directory = mkdtempSync(join(tmpdir(), "rspec-base-"));
  buildBaseRootfs(join(directory, "rootfs"));
  process.env.SPEC_TEST_BASE = directory;
  return () => rmSync(directory, { recursive: true, force: true });
}
