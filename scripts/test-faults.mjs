/**
 * `npm run test:faults [-- VITEST-ARGUMENT...]`: every operation of the commands fails with each of ten errors, loses the stub,
 * the runtime, or an answer; of which `npm test` does a part. It takes hours. FAULTS_BUNDLES, FAULTS_COMMANDS and FAULTS_MODES
 * (errno numbers, `kill-stub`, `kill-runtime`, `stall`) are lists with commas that leave out the rest.
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
  { name: "python3", program: "python3", needed: true, why: "runs the commands in namespaces of their own" },
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
