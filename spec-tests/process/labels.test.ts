import { existsSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { expectInitAlone, running } from "../harness/exec.ts";
import { byCase } from "../harness/peers.ts";
import { expectRefusal, inOurWords } from "../harness/refusal.ts";
import { spec } from "../harness/spec.ts";

const NO_APPARMOR = { reason: "apparmorProfile is left out where the kernel has no AppArmor", from: "1.28" };

const APPARMOR = "/sys/module/apparmor/parameters/enabled";

/** The property of each label, a value that no machine has, and whether this machine has the security module. */
const LABELS = [
  [
    "apparmorProfile",
    "no-such-profile",
    existsSync(APPARMOR) && readFileSync(APPARMOR, "utf8").startsWith("Y"),
  ],
  ["selinuxLabel", "no:such:label:s0", existsSync("/sys/fs/selinux/enforce")],
] as const;

const createDeviations = byCase({ crun: NO_APPARMOR, cases: ["apparmorProfile"] });

for (const [property, value, enabled] of LABELS) {
  spec(
    `create, ${property} that the kernel has no module for: error, nothing left`,
    `config.md, Linux Process: ${property} specifies the label of the process`,
    async (sandbox, context) => {
      if (enabled) context.skip("this machine has the security module");
      const container = sandbox.container((config) => {
        Object.assign(config.process, { [property]: value });
      });
      expectRefusal(await container.create(), inOurWords(`/process/${property}: `));
      expect((await container.stateCommand()).code).not.toBe(0);
      expect(await sandbox.traces()).toEqual([]);
    },
    createDeviations(property),
  );
}

const execDeviations = byCase(
  { crun: NO_APPARMOR, cases: ["--apparmor"] },
  {
    crun: "a label is ignored without SELinux",
    runc: { reason: "a process of a failed exec outlives the command", sometimes: true },
    cases: ["--process-label"],
  },
);

for (const [flag, [, value, enabled]] of [
  ["--apparmor", LABELS[0]],
  ["--process-label", LABELS[1]],
] as const) {
  spec(
    `exec ${flag} that the kernel has no module for: error, nothing left`,
    "practice of runc and crun",
    async (sandbox, context) => {
      if (enabled) context.skip("this machine has the security module");
      const container = await running(sandbox);
      expectRefusal(
        await container.exec(["true"], { flags: [flag, value] }),
        inOurWords(flag === "--apparmor" ? "/process/apparmorProfile: " : "/process/selinuxLabel: "),
        255,
      );
      await expectInitAlone(sandbox);
    },
    execDeviations(flag),
  );
}
