import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Check } from "./engine.ts";
import { openPodman, type Podman, podmanTests } from "./podman.ts";

/** Ids that subuid(5) and subgid(5) have for `--userns=auto`. */
export const AUTO_IDS = 400_000;

/** Its network namespace is where podman makes bridges and firewalls; its mount namespace has other files in /etc. */
const HOLDER = `set -e
for name in passwd subuid subgid; do mount --bind "$1/$name" "/etc/$name"; done
ip link set lo up
echo ready > "$1/ready"
exec sleep infinity`;

const WAIT = 'for i in $(seq 300); do [ -s "$1/ready" ] && exit; sleep 0.1; done; exit 1';

/** podman's tests on a host of their own, as far as networks and ids go: nothing of that is the machine's. */
export function podmanHostTests(): Check<Podman> {
  return podmanTests("podman", () => {
    let holder: ChildProcess | undefined;
    const wrapper = (directory: string): readonly string[] => {
      const folder = join(directory, "etc");
      mkdirSync(folder);
      for (const name of ["subuid", "subgid"])
        writeFileSync(join(folder, name), `containers:${AUTO_IDS}:400000\n`);
      // uidmap 4.20, unlike 4.17, gives ids to known users only.
      const user = "containers:x:65533:65533::/:/usr/sbin/nologin\n";
      writeFileSync(join(folder, "passwd"), readFileSync("/etc/passwd", "utf8") + user);
      const words = ["--net", "--mount", "--propagation", "slave", "sh", "-c", HOLDER, "sh", folder];
      holder = spawn("unshare", words, { stdio: "ignore" });
      execFileSync("sh", ["-c", WAIT, "sh", folder]);
      return ["nsenter", "--target", String(holder.pid), "--net", "--mount"];
    };
    return openPodman({ wrapper, close: () => holder?.kill("SIGKILL") });
  });
}
