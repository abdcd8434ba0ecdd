import { expect } from "vitest";
import type { Config, Seccomp } from "../harness/config.ts";
import type { GuestContainer, GuestSandbox } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { parseObject } from "../harness/json.ts";

/** The recorder's BPF program depends on the kernel: on its verifier, and on the layout of its structures. */

const CLAUSE = "promise: --seccomp-record";
const SCRIPT = "umask 7; (cat /proc/self/comm); exit 3";

function box(sandbox: GuestSandbox, change: (config: Config) => void = () => undefined): GuestContainer {
  return sandbox.container((config) => {
    config.process.args = ["sh", "-c", SCRIPT];
    delete config.linux.seccomp;
    change(config);
  });
}

async function profileIn(sandbox: GuestSandbox, file: string): Promise<Seccomp> {
  const { defaultAction, ...rest } = parseObject(await sandbox.guest.output(`cat ${file}`));
  return { ...rest, defaultAction: String(defaultAction) };
}

describeGuest("recorded seccomp profiles", () => {
  guestSpec(
    "run and create with --seccomp-record under Debian's kernel: the same by BPF, by notifications and by delete, and the program runs under it",
    CLAUSE,
    async (sandbox) => {
      const file = (name: string) => `/run/exchange/${sandbox.tag}-${name}.json`;
      for (const by of ["bpf", "notify"]) {
        const recorded = await box(sandbox).run("--seccomp-record", file(by), "--seccomp-record-by", by);
        expect([by, recorded.code, recorded.stdout, recorded.stderr]).toEqual([by, 3, "cat\n", ""]);
      }
      const profile = await profileIn(sandbox, file("bpf"));
      expect(profile.syscalls?.[0]?.names).toEqual(expect.arrayContaining(["umask", "wait4", "write"]));
      expect(profile.architectures).toEqual(["SCMP_ARCH_X86_64"]);
      expect(await profileIn(sandbox, file("notify"))).toEqual(profile);
      const held = box(sandbox);
      expect((await held.create("--seccomp-record", file("held"))).code).toBe(0);
      expect((await held.command("start")).code).toBe(0);
      await held.printed("^cat$");
      expect(await held.command("delete", "--force")).toMatchObject({ code: 0, stderr: "" });
      const again = await box(sandbox, (config) => {
        config.linux.seccomp = profile;
      }).run();
      expect([again.code, again.stdout]).toEqual([3, "cat\n"]);
      const names = (await profileIn(sandbox, file("held"))).syscalls?.[0]?.names ?? [];
      expect(names).toContain("umask");
    },
    { both: "has no such option" },
  );
});
