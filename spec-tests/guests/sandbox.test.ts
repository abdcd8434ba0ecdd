import { expect } from "vitest";
import { QEMU_GUEST } from "../harness/guests/qemu.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";

const CLAUSE = "docs/sandbox.md";
const ONLY_RUNTS = { both: "has no such command" };

describeGuest(
  "sandboxes with limits",
  () => {
    guestSpec(
      "sandbox --memory, --cpus, --pids: are limits of a cgroup that is gone afterwards",
      CLAUSE,
      async (sandbox) => {
        const cgroups = () => sandbox.guest.output("find /sys/fs/cgroup -name 'sandbox-*' | wc -l");
        const limits = ["--memory", "64m", "--cpus", "0.5", "--pids", "9", "--cwd", "/"];
        const path = "/sys/fs/cgroup/sandbox-*/";
        const files = ["memory.max", "memory.swap.max", "cpu.max", "pids.max"].map((file) => path + file);
        const waiting = sandbox.command(["sandbox", ...limits, "--", "sleep", "1000"], "&");
        const seen = await sandbox.guest.output(
          `${waiting} runts=$!
           for time in $(seq 100); do grep -q . ${path}cgroup.procs 2>/dev/null && break; sleep 0.1; done
           cat ${files.join(" ")}; kill -TERM $runts; wait $runts; echo $?`,
        );
        expect(seen.trim().split("\n")).toEqual(["67108864", "0", "50000 100000", "10", "143"]);
        expect((await cgroups()).trim()).toBe("0");
        const single = ["sandbox", "--pids", "1", "--cwd", "/", "--", "sh", "-c"];
        expect(await sandbox.invoke([...single, "exit 6"])).toMatchObject({ code: 6 });
        expect((await sandbox.invoke([...single, "sleep 0 & exit 6"])).code).not.toBe(6);
        const forks = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done 2>&1; wait";
        const bomb = await sandbox.invoke(["sandbox", ...limits, "--", "sh", "-c", forks]);
        expect(bomb.code).not.toBe(0);
        const eats = "sandbox --memory 32m --cwd / -- python3 -c".split(" ");
        expect(await sandbox.invoke([...eats, "bytearray(200 << 20)"])).toMatchObject({ code: 137 });
        expect((await cgroups()).trim()).toBe("0");
      },
      ONLY_RUNTS,
    );
  },
  QEMU_GUEST,
);
