import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import { PYTHON, withPython } from "../harness/guests/python.ts";
import { QEMU_GUEST } from "../harness/guests/qemu.ts";
import { GUEST_USER, type GuestContainer, type GuestSandbox, underLabel } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { rootlessConfig } from "../harness/host/user.ts";
import { byCase } from "../harness/peers.ts";

const LABEL = "config.md, Linux Process: apparmorProfile";
const MUST = "runtime.md, Create: MUST error if a property cannot be applied";
const PRACTICE = "practice of runc and crun";
const ESCAPE =
  "CVE-2016-9962: what a process of the runtime holds in the container is the container's to use";

const RULES = "file, capability, network, mount, umount, signal, ptrace, unix,";
/** `spec` is for containers, and denies one file; the others are for the runtime itself. */
const PROFILES: Readonly<Record<string, string>> = {
  spec: "deny /tmp/secret rwl,",
  "engine-in-itself": "pivot_root, userns,",
  "engine-to-all": "pivot_root, userns, change_profile,",
  "engine-without-userns": "pivot_root, deny userns,",
};
const OWN_LABEL = "cat /proc/self/attr/current";
const TRY_PROFILE = `${OWN_LABEL}; echo 1 > /tmp/other && echo written; (echo 1 > /tmp/secret) 2>/dev/null || echo denied`;
const CONFINED = "spec (enforce)\nwritten\ndenied";

const REACHER = readFileSync(join(import.meta.dirname, "../harness/helpers/reacher.py"), "utf8");
const CANARY = "/run/canary";
const REACH = [...PYTHON, REACHER, CANARY];
const ROUNDS = 2;

const OWN = [{ containerID: 0, hostID: GUEST_USER, size: 1 }];

function profiled(profile: string): (config: Config) => void {
  return (config) => {
    config.process.apparmorProfile = profile;
  };
}

/** Loads the profiles once in a guest. Without the features of ABI 4.0, the parser does not know the rule `userns`. */
async function loadProfiles({ guest }: GuestSandbox): Promise<void> {
  const security = "/sys/kernel/security";
  const features = '--policy-features "$modules/etc/apparmor.d/abi/4.0"';
  const text = Object.entries(PROFILES).map(
    ([name, rules]) => `profile ${name} flags=(attach_disconnected) { ${RULES} ${rules} }`,
  );
  await guest.output(
    `[ -d ${security}/apparmor ] || mount -t securityfs securityfs ${security}
     grep -q '^spec ' ${security}/apparmor/profiles ||
       echo '${text.join("\n")}' | "$modules/usr/sbin/apparmor_parser" ${features} --skip-cache --replace`,
  );
}

/** A container with CAP_SYS_PTRACE, which can look into the processes of its pid namespace, and with the host's python. */
async function curious(
  sandbox: GuestSandbox,
  args: string[],
  mutate: (config: Config) => void,
): Promise<GuestContainer> {
  await loadProfiles(sandbox);
  await sandbox.guest.output(`touch ${CANARY}`);
  return sandbox.container((config) => {
    withPython(config);
    const all = ["CAP_SYS_PTRACE"];
    config.process.capabilities = { bounding: all, effective: all, permitted: all };
    config.process.args = args;
    mutate(config);
  });
}

/** Expects that the container's program saw a process of the runtime, whose name is not the program's, and reached no file through it. */
function expectNotReached(printed: string): void {
  const lines = printed.split("\n");
  expect(lines.filter((line) => line.startsWith("reached"))).toEqual([]);
  expect(lines.filter((line) => line.startsWith("looked at ") && line !== "looked at true")).not.toEqual([]);
}

describeGuest(
  "AppArmor",
  () => {
    guestSpec(
      "apparmorProfile: confines the program and exec; exec --apparmor: has its own profile",
      LABEL,
      async (sandbox) => {
        await loadProfiles(sandbox);
        const container = sandbox.limited(`${TRY_PROFILE}; sleep 999`, {}, profiled("spec"));
        await container.started();
        await container.printed("denied");
        expect(await container.printed(".")).toBe(CONFINED);
        const exec = await container.exec("sh", "-c", TRY_PROFILE);
        expect(exec).toEqual({ code: 0, stdout: `${CONFINED}\n`, stderr: "" });
        const other = ["exec", "--apparmor", "unconfined", container.id, "sh", "-c", OWN_LABEL];
        expect((await sandbox.invoke(other)).stdout).toBe("unconfined\n");
      },
    );

    guestSpec(
      "exec --apparmor in an unconfined container: confines the new program; unloaded profile: error that names it",
      PRACTICE,
      async (sandbox) => {
        await loadProfiles(sandbox);
        const container = sandbox.limited(`${OWN_LABEL}; sleep 999`, {});
        await container.started();
        expect(await container.printed(".")).toBe("unconfined");
        const exec = (profile: string) =>
          sandbox.invoke(["exec", "--apparmor", profile, container.id, "sh", "-c", OWN_LABEL]);
        expect((await exec("spec")).stdout).toBe("spec (enforce)\n");
        const words = /\/process\/apparmorProfile: .*nobody-loaded-it.*no profile of this name is loaded/;
        sandbox.expectRefusal(await exec("nobody-loaded-it"), /apparmor/, words, 255);
      },
    );

    guestSpec("apparmorProfile: confines startContainer hooks", LABEL, async (sandbox) => {
      await loadProfiles(sandbox);
      const container = sandbox.limited("cat /tmp/hook", {}, (config) => {
        profiled("spec")(config);
        const args = ["sh", "-c", `(${TRY_PROFILE}) > /tmp/hook`];
        config.hooks = { startContainer: [{ path: "/bin/sh", args }] };
      });
      expect(await container.output()).toBe(CONFINED);
    });

    guestSpec(
      "apparmorProfile, rootless, with a time namespace: confines the program",
      LABEL,
      async (sandbox) => {
        await loadProfiles(sandbox);
        sandbox.asUser = true;
        const container = sandbox.container((config) => {
          rootlessConfig(config, OWN);
          profiled("spec")(config);
          config.linux.namespaces.push({ type: "time" });
          config.process.args = ["sh", "-c", OWN_LABEL];
        });
        expect(await container.output()).toBe("spec (enforce)");
      },
      { runc: { reason: "domainname and time namespaces came with 1.2", before: "1.2" } },
    );

    guestSpec("create, apparmorProfile that is not loaded: error that names it", MUST, async (sandbox) => {
      const container = sandbox.limited("true", {}, profiled("nobody-loaded-it"));
      const words = /\/process\/apparmorProfile: .*nobody-loaded-it.*no profile of this name is loaded/;
      sandbox.expectRefusal(await container.create(), /apparmor/, words);
    });

    const deviations = byCase({
      crun: "it changes to the profile before it sets no_new_privs, and not with the execve",
      cases: ["that can't be left under no_new_privs"],
    });

    for (const [profile, what, mutate, words] of [
      [
        "engine-in-itself",
        "that may not be changed",
        profiled("spec"),
        /\/process\/apparmorProfile: .*profile engine-in-itself, which needs "change_profile -> spec,"/,
      ],
      [
        "engine-to-all",
        "that can't be left under no_new_privs",
        profiled("spec"),
        /execve.*profile engine-to-all, which can't be left for spec with \/process\/noNewPrivileges/,
      ],
      [
        "engine-without-userns",
        "that denies user namespaces",
        (config: Config) => rootlessConfig(config, OWN),
        /\/linux\/namespaces: .*clone3: .*profile engine-without-userns, which needs "userns,"/,
      ],
    ] as const) {
      guestSpec(
        `run, runtime under a profile ${what}: error that says so`,
        MUST,
        async (sandbox) => {
          await loadProfiles(sandbox);
          sandbox.asUser = profile === "engine-without-userns";
          const { bundle, id } = sandbox.container(mutate);
          const run = sandbox.command(["run", "--bundle", bundle, id]);
          sandbox.expectRefusal(await sandbox.guest.run(underLabel(`exec ${profile}`, run)), /./, words);
        },
        deviations(what),
      );
    }

    for (const [whose, profile] of [
      ["a confined container", "spec"],
      ["an unconfined container", undefined],
    ] as const) {
      guestSpec(
        `exec --apparmor in ${whose} with CAP_SYS_PTRACE: the container reaches no file of the host`,
        ESCAPE,
        async (sandbox) => {
          const container = await curious(
            sandbox,
            REACH,
            profile === undefined ? () => undefined : profiled(profile),
          );
          await container.started();
          await container.printed("trying");
          const exec = sandbox.command(["exec", "--apparmor", "spec", container.id, "/bin/true"]);
          await sandbox.guest.output(`for round in $(seq ${ROUNDS}); do ${exec} || exit; done`);
          expectNotReached(await container.printed("."));
        },
        { runc: "the tracer follows one thread; runc's other threads wait for it until the test kills them" },
      );
    }

    guestSpec(
      "start, startContainer hooks beside a process with CAP_SYS_PTRACE: that process reaches no file of the host",
      ESCAPE,
      async (sandbox) => {
        const container = await curious(sandbox, ["/bin/true"], (config) => {
          profiled("spec")(config);
          config.hooks = { startContainer: Array(ROUNDS).fill({ path: "/bin/true" }) };
        });
        await container.created();
        const printed = `/run/outputs/${container.id}.exec`;
        const exec = sandbox.command(["exec", "--detach", container.id, ...REACH], `> ${printed} 2>&1`);
        const start = sandbox.command(["start", container.id]);
        await sandbox.guest.output(`${exec} && until grep trying ${printed}; do sleep 0.2; done; ${start}`);
        expectNotReached(await sandbox.guest.output(`cat ${printed}`));
      },
      { runc: "init runs the hooks, so that no new process of the runtime appears" },
    );
  },
  QEMU_GUEST,
);
