/**
 * `npm run test:faults [-- VITEST-ARGUMENT...]`: every operation of the commands fails with each of ten errors, and the stub, the runtime
 * or a reply is lost at each of them. This takes hours; `npm test` does a part. The comma-separated lists FAULTS_BUNDLES, FAULTS_COMMANDS
 * and FAULTS_MODES (errno numbers, `kill-stub`, `kill-runtime`, `stall`) restrict the run.
 */
import { spawnSync } from "node:child_process";
import {
  busybox,
  checkMachine,
  ensureBuild,
  ensureModules,
  ensurePackages,
  libseccomp,
  root,
  runScript,
  unifiedCgroup,
  vitest,
} from "./machine.mjs";

const packages = [
  busybox,
  { name: "python3", program: "python3", needed: true, why: "runs the commands in their own namespaces" },
  libseccomp,
];

function testFaults() {
  checkMachine("npm run test:faults");
  ensurePackages(packages);
  ensureModules();
  ensureBuild();
  const args = [process.execPath, vitest, "run", "--project", "faults", ...process.argv.slice(2)];
  const env = { ...process.env, FAULTS: "all" };
  return spawnSync(unifiedCgroup, args, { cwd: root, stdio: "inherit", env }).status ?? 1;
}

runScript("test:faults", testFaults);
