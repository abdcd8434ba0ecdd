import { expect } from "vitest";
import { QEMU_GUEST, SELINUX_GUEST } from "../harness/guests/qemu.ts";
import type { GuestContainer, GuestSandbox } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { POINTER, type Rules, withRules } from "../harness/helpers/landlock.ts";

const CLAUSE = "promise: docs/landlock.md";
const NO_PEER = { both: "takes no Landlock rules" };

/** Directories may be made in /tmp alone. The flag is of Landlock's ABI 7, in Linux 6.15. */
const RULES: Rules = {
  handledAccess: { handledAccessFS: ["make_dir"], scoped: ["signal"] },
  rules: { pathBeneath: [{ allowedAccess: ["make_dir"], paths: ["/tmp"] }] },
  restrictSelfFlags: ["log_new_exec_on"],
};
const FLAGS = `${POINTER}/restrictSelfFlags`;

function tryingDirectories(sandbox: GuestSandbox, rules: Rules): GuestContainer {
  return sandbox.container((config) => {
    withRules(rules)(config);
    const script = "for place in /tmp /dev/shm; do mkdir $place/new 2>/dev/null && echo $place; done; true";
    config.process.args = ["sh", "-c", script];
  });
}

describeGuest(
  "Landlock of ABI 6",
  () => {
    guestSpec(
      "run on Linux 6.12 with a flag of Landlock's ABI 7: a warning, and all other rules are in force",
      CLAUSE,
      async (sandbox) => {
        const { code, stdout, stderr } = await tryingDirectories(sandbox, RULES).run();
        expect({ code, stdout }).toEqual({ code: 0, stdout: "/tmp\n" });
        expect(stderr).toContain(
          `${FLAGS}: Landlock of this kernel (ABI 6) has no log_new_exec_on: left out`,
        );
      },
      NO_PEER,
    );

    guestSpec(
      "create on Linux 6.12 with a flag of Landlock's ABI 7 and without best effort: error that names the flag, nothing left",
      CLAUSE,
      async (sandbox) => {
        const container = tryingDirectories(sandbox, { ...RULES, enableBestEffort: false });
        const words = new RegExp(
          `${FLAGS}: Landlock of this kernel \\(ABI 6\\) has no log_new_exec_on, and enableBestEffort is false`,
        );
        sandbox.expectRefusal(await container.create(), words);
      },
      NO_PEER,
    );

    guestSpec(
      "doctor on Linux 6.12: names the ABI of Landlock, and validate --host the flag that it lacks",
      CLAUSE,
      async (sandbox) => {
        expect((await sandbox.invoke(["doctor"])).stdout).toMatch(
          /landlock +ABI 6: files, TCP ports, scopes;/,
        );
        const container = tryingDirectories(sandbox, RULES);
        const { stdout } = await sandbox.invoke(["validate", "--host", "--bundle", container.bundle]);
        expect(stdout).toContain("Landlock of this kernel (ABI 6) has no log_new_exec_on: left out");
      },
      NO_PEER,
    );
  },
  QEMU_GUEST,
);

describeGuest(
  "no Landlock",
  () => {
    const words = `${POINTER}: this kernel has no Landlock that can be used (operation not supported)`;

    guestSpec(
      "run on a kernel that was booted without Landlock: runs without the rules, with a warning",
      CLAUSE,
      async (sandbox) => {
        const { code, stdout, stderr } = await tryingDirectories(sandbox, RULES).run();
        expect(stderr).toContain(`${words}: the process runs without these rules`);
        expect({ code, stdout }).toEqual({ code: 0, stdout: "/tmp\n/dev/shm\n" });
      },
      NO_PEER,
    );

    guestSpec(
      "create on a kernel that was booted without Landlock, and without best effort: error with the pointer, nothing left",
      CLAUSE,
      async (sandbox) => {
        const container = tryingDirectories(sandbox, { ...RULES, enableBestEffort: false });
        const expected = `${words}, and enableBestEffort is false`.replace(/[.()]/g, "\\$&");
        sandbox.expectRefusal(await container.create(), new RegExp(expected));
      },
      NO_PEER,
    );
  },
  SELINUX_GUEST,
);
