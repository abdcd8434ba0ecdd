import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { QEMU_GUEST } from "../harness/guest-qemu.ts";
import type { GuestContainer, GuestSandbox } from "../harness/guest-sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guest-spec.ts";

const LABEL = "config.md, Linux Process: apparmorProfile";
const MUST = "runtime.md, Create: MUST error if a property cannot be applied";
const PRACTICE = "practice of runc and crun";
const ESCAPE =
  "CVE-2016-9962: what a process of the runtime holds in the container is the container's to use";

/** A profile of this name that denies one file. */
const PROFILE =
  "profile spec flags=(attach_disconnected) { file, capability, network, mount, umount, signal, ptrace, unix, deny /tmp/secret rwl, }";
const TRY_PROFILE =
  "cat /proc/self/attr/current; echo 1 > /tmp/other && echo written; (echo 1 > /tmp/secret) 2>/dev/null || echo denied";

const REACHER = readFileSync(join(import.meta.dirname, "../harness/reacher.py"), "utf8");
const PYTHON = ["/usr/lib64/ld-linux-x86-64.so.2", "/usr/bin/python3", "-Sc"];
const CANARY = "/run/canary";
const REACH = [...PYTHON, REACHER, CANARY];
const ROUNDS = 2;

async function loadProfile({ guest }: GuestSandbox, profile = PROFILE): Promise<void> {
  const security = "/sys/kernel/security";
  const parser = '"$modules/usr/sbin/apparmor_parser" --skip-cache --replace';
  await guest.output(
    `[ -d ${security}/apparmor ] || mount -t securityfs securityfs ${security}; echo '${profile}' | ${parser}`,
  );
}

/** A container that may look at all processes of its pid namespace, with the host's python. */
async function curious(
  sandbox: GuestSandbox,
  args: string[],
  mutate: (config: Config) => void,
): Promise<GuestContainer> {
  await loadProfile(sandbox);
  await sandbox.guest.output(`touch ${CANARY}`);
  return sandbox.container((config) => {
    config.mounts.push({ destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro"] });
    const all = ["CAP_SYS_PTRACE"];
    config.process.capabilities = { bounding: all, effective: all, permitted: all };
    config.process.args = args;
    mutate(config);
  });
}

/** It has seen a process of the runtime, which has another name than its program, and reached nothing by it. */
function expectNotReached(printed: string): void {
  const lines = printed.split("\n");
  expect(lines.filter((line) => line.startsWith("reached"))).toEqual([]);
  expect(lines.filter((line) => line.startsWith("looked at ") && line !== "looked at true")).not.toEqual([]);
}

describeGuest(
  "AppArmor",
  () => {
    guestSpec(
      "apparmorProfile: it is the program's, and what it denies is denied",
      LABEL,
      async (sandbox) => {
        await loadProfile(sandbox);
        const container = sandbox.limited(TRY_PROFILE, {}, (config) => {
          config.process.apparmorProfile = "spec";
        });
        expect(await container.output()).toBe("spec (enforce)\nwritten\ndenied");
      },
    );

    guestSpec("exec --apparmor: it is that program's", PRACTICE, async (sandbox) => {
      await loadProfile(sandbox);
      const container = sandbox.limited("cat /proc/self/attr/current; sleep 999", {});
      await container.started();
      expect(await container.printed(".")).toBe("unconfined");
      const label = ["exec", "--apparmor", "spec", container.id, "cat", "/proc/self/attr/current"];
      expect((await sandbox.invoke(label)).stdout).toBe("spec (enforce)\n");
    });

    guestSpec("apparmorProfile that is not loaded: error that names it", MUST, async (sandbox) => {
      const container = sandbox.limited("true", {}, (config) => {
        config.process.apparmorProfile = "nobody-loaded-it";
      });
      sandbox.expectRefusal(
        await container.create(),
        /apparmor/,
        /\/process\/apparmorProfile: .*nobody-loaded-it/,
      );
    });

    for (const [whose, profile] of [
      ["a confined container", "spec"],
      ["an unconfined container", ""],
    ] as const) {
      guestSpec(
        `exec --apparmor into ${whose} with CAP_SYS_PTRACE: it reaches no file of the host`,
        ESCAPE,
        async (sandbox) => {
          const container = await curious(sandbox, REACH, (config) => {
            config.process.apparmorProfile = profile;
          });
          await container.started();
          await container.printed("trying");
          const exec = sandbox.command(["exec", "--apparmor", "spec", container.id, "/bin/true"]);
          await sandbox.guest.output(`for round in $(seq ${ROUNDS}); do ${exec} || exit; done`);
          expectNotReached(await container.printed("."));
        },
      );
    }

    guestSpec(
      "start, startContainer hooks beside a process with CAP_SYS_PTRACE: it reaches no file of the host",
      ESCAPE,
      async (sandbox) => {
        const container = await curious(sandbox, ["/bin/true"], (config) => {
          config.process.apparmorProfile = "spec";
          config.hooks = { startContainer: Array(ROUNDS).fill({ path: "/bin/true" }) };
        });
        await container.created();
        const printed = `/run/outputs/${container.id}.exec`;
        const exec = sandbox.command(["exec", "--detach", container.id, ...REACH], `> ${printed} 2>&1`);
        const start = sandbox.command(["start", container.id]);
        await sandbox.guest.output(`${exec} && until grep trying ${printed}; do sleep 0.2; done; ${start}`);
        expectNotReached(await sandbox.guest.output(`cat ${printed}`));
      },
    );
  },
  QEMU_GUEST,
);
