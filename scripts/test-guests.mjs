/**
 * `npm run test:guests [-- VITEST-ARGUMENT...]`: runs tests in guests whose kernel has all cgroup controllers, with runts, crun and runc. They
 * use nothing of the host's cgroups. `npm test` runs them with runts only.
 */
import { spawnSync } from "node:child_process";
import { ensureGuestKernel, guestPackages } from "./guest-kernel.mjs";
import {
  busybox,
  checkMachine,
  ensureBuild,
  ensureModules,
  ensurePackages,
  Missing,
  peerRuntimes,
  reachable,
  root,
  runScript,
  vitest,
} from "./machine.mjs";

const packages = [
  busybox,
  { name: "systemd", file: "/usr/lib/systemd/systemd", needed: true, why: "pid 1 of a guest" },
  { name: "criu", program: "criu", needed: true, why: "saves and restores containers" },
  { name: "iproute2", program: "ip", needed: true, why: "criu's network namespaces" },
  { name: "python3", program: "python3", needed: true, why: "a program with a TCP connection" },
  ...guestPackages.map((entry) => ({ ...entry, needed: true })),
  ...peerRuntimes,
  { name: "libcriu2", library: "libcriu.so.2", why: "crun's checkpoints" },
];

function testGuests() {
  if (process.arch !== "x64") throw new Missing("the guests are x86-64 machines.");
  checkMachine("npm run test:guests");
  ensurePackages(packages);
  ensureModules();
  if (!ensureGuestKernel()) throw new Missing("there is no kernel for the guests (see above).");
  ensureBuild();
  const args = [process.execPath, vitest, "run", "--project", "guests", ...process.argv.slice(2)];
  return spawnSync(reachable, args, { cwd: root, stdio: "inherit" }).status ?? 1;
}

runScript("test:guests", testGuests);
