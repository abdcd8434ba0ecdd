import { mkdirSync } from "node:fs";
import { expect } from "vitest";
import { spec } from "../harness/spec.ts";

const CLAUSE = "promise: the root directory of a container is the root of its mount namespace";

/** Runs the runtime in a chroot(2) with all of the host in it, so that every path of the test is the same there. */
const IN_CHROOT = 'mount --rbind / "$0" && exec chroot "$0" "$@"';

for (const command of ["create", "create --no-pivot"]) {
  spec(
    `exec, ${command} in a chroot: the program is in the container, not on the host`,
    CLAUSE,
    async (sandbox) => {
      const directory = sandbox.path("chroot");
      mkdirSync(directory);
      const container = sandbox.shell("sleep 100");
      sandbox.wrapper = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", IN_CHROOT, directory];
      await container.created({ flags: command.split(" ").slice(1) });
      sandbox.wrapper = [];
      await container.start();
      const { stdout } = await container.exec(["sh", "-c", "[ / -ef /proc/1/root ] && pwd; ls -d /usr/sbin"]);
      expect(stdout).toBe("/\n");
    },
    { both: "in a chroot, the root of the container's mount namespace stays the host's" },
  );
}
