import { expect } from "vitest";
import type { Config } from "../harness/config.ts";
import type { Explanation } from "../harness/explain/explained.ts";
import { PYTHON, withPython } from "../harness/guests/python.ts";
import { SELINUX_GUEST } from "../harness/guests/qemu.ts";
import { GUEST_USER, type GuestSandbox, underLabel } from "../harness/guests/sandbox.ts";
import { describeGuest, guestSpec } from "../harness/guests/spec.ts";
import { rootlessConfig } from "../harness/host/user.ts";

const LABEL = "config.md, Linux Process: selinuxLabel";
const MOUNT = "config-linux.md, Mount label";
const MUST = "runtime.md, Create: MUST error if a property cannot be applied";
const PRACTICE = "practice of runc and crun";

/** Types of harness/guests/policy.cil. */
const CONTAINER = "system_u:system_r:container_t:s0:c1,c2";
const OTHER = "system_u:system_r:container_t:s0:c0";
const FORBIDDEN = "system_u:system_r:forbidden_t:s0";
const WITHOUT_NO_NEW_PRIVS = "system_u:system_r:careful_t:s0";
const UNKNOWN = "system_u:system_r:unknown_t:s0";
const FILES = "system_u:object_r:container_file_t:s0:c1,c2";
const SECRET = "system_u:object_r:secret_t:s0";

const OWN_LABEL = "tr '\\0' '\\n' < /proc/self/attr/current";

function labelled(label: string): (config: Config) => void {
  return (config) => {
    config.process.selinuxLabel = label;
  };
}

/** A program that makes one call of keyctl(2) or add_key(2) on the session keyring, whose number is -3. */
function onKeys(call: string): readonly string[] {
  const program = `import ctypes
libc = ctypes.CDLL(None, use_errno=True)
result = libc.syscall(${call})
print("done" if result > 0 else ctypes.get_errno())`;
  return [...PYTHON, program];
}

const ADD_KEY = onKeys('248, b"user", b"spec", b"secret", 6, -3');
const SEARCH_KEY = onKeys('250, 10, -3, b"user", b"spec", 0');

/** Prints the distinct labels of files. */
const LABELS = `import os, sys
open("/tmp/new", "w").close()
print(*{os.getxattr(path, "security.selinux").rstrip(b"\\0").decode() for path in sys.argv[1:]})`;
const NEW_FILES = [
  ...["/tmp", "/tmp/new", "/dev", "/dev/null", "/dev/shm", "/dev/mqueue", "/dev/pts", "/dev/pts/0"],
  ...["/dev/console", "/proc/acpi"],
];

describeGuest(
  "SELinux",
  () => {
    guestSpec(
      "selinuxLabel: set for the program, startContainer hooks and exec; exec --process-label: has its own label",
      LABEL,
      async (sandbox) => {
        const container = sandbox.limited(`${OWN_LABEL}; cat /tmp/hook; sleep 999`, {}, (config) => {
          config.process.selinuxLabel = CONTAINER;
          const args = ["sh", "-c", `echo hook $(${OWN_LABEL}) > /tmp/hook`];
          config.hooks = { startContainer: [{ path: "/bin/sh", args }] };
        });
        await container.started();
        await container.printed("hook");
        expect(await container.printed(".")).toBe(`${CONTAINER}\nhook ${CONTAINER}`);
        expect((await container.exec("sh", "-c", OWN_LABEL)).stdout).toBe(`${CONTAINER}\n`);
        const exec = ["exec", "--process-label", OTHER, container.id, "sh", "-c", OWN_LABEL];
        expect((await sandbox.invoke(exec)).stdout).toBe(`${OTHER}\n`);
      },
    );

    guestSpec(
      "selinuxLabel, a file that the policy denies to it: the program and exec can't read it",
      LABEL,
      async (sandbox) => {
        const { guest, tag } = sandbox;
        const file = `/run/${tag}-secret`;
        const set = `import os; os.setxattr("${file}", "security.selinux", b"${SECRET}")`;
        await guest.output(`echo secret > ${file}; /usr/bin/python3 -c '${set}'`);
        const container = sandbox.limited("cat /tmp/secret 2>&1; sleep 999", {}, (config) => {
          config.process.selinuxLabel = CONTAINER;
          config.mounts.push({ destination: "/tmp/secret", type: "bind", source: file, options: ["bind"] });
        });
        await container.started();
        const denied = "cat: can't open '/tmp/secret': Permission denied";
        expect((await container.exec("cat", "/tmp/secret")).stderr.trim()).toBe(denied);
        expect(await container.printed("denied")).toBe(denied);
        expect(await guest.output(`cat ${file}`)).toBe("secret");
      },
    );

    guestSpec(
      "selinuxLabel: set for the session keyring, which exec can use",
      PRACTICE,
      async (sandbox) => {
        const container = sandbox.container((config) => {
          withPython(config);
          config.process.selinuxLabel = CONTAINER;
          config.process.args = ["/bin/sleep", "999"];
        });
        await container.started();
        const results = [await container.exec(...ADD_KEY), await container.exec(...SEARCH_KEY)];
        expect(results).toEqual(Array(2).fill({ code: 0, stdout: "done\n", stderr: "" }));
      },
      { crun: "exec does not join the container's session keyring" },
    );

    guestSpec(
      "mountLabel: set for new file systems, the files in them, and the terminal",
      MOUNT,
      async (sandbox) => {
        const container = sandbox.container((config) => {
          withPython(config);
          config.process.selinuxLabel = CONTAINER;
          config.linux.mountLabel = FILES;
          config.process.terminal = true;
          config.process.args = [...PYTHON, LABELS, ...NEW_FILES];
        });
        // script(1) gives the runtime a terminal.
        const run = sandbox.command(["run", "--bundle", container.bundle, container.id]);
        const text = await sandbox.guest.output(
          `cat > /run/tmp/${sandbox.tag} <<'END'\n${run}\nEND\n/usr/bin/script --quiet --return --command "sh /run/tmp/${sandbox.tag}" /dev/null`,
        );
        expect(text.match(/system_u:\S+/g)).toEqual([FILES]);
      },
    );

    guestSpec(
      "selinuxLabel, rootless, with a time namespace: set for the program",
      LABEL,
      async (sandbox) => {
        sandbox.asUser = true;
        const container = sandbox.container((config) => {
          rootlessConfig(config, [{ containerID: 0, hostID: GUEST_USER, size: 1 }]);
          config.linux.mountLabel = FILES;
          config.linux.namespaces.push({ type: "time" });
          config.process.selinuxLabel = CONTAINER;
          config.process.args = ["sh", "-c", OWN_LABEL];
        });
        expect(await container.output()).toBe(CONTAINER);
      },
      { runc: { reason: "domainname and time namespaces came with 1.2", before: "1.2" } },
    );

    for (const [title, mutate, words] of [
      [
        "selinuxLabel unknown to the policy",
        labelled(UNKNOWN),
        /\/process\/selinuxLabel: .*unknown_t.* no such context/,
      ],
      [
        "selinuxLabel to which the policy allows no transition",
        (config: Config) => {
          config.process.selinuxLabel = FORBIDDEN;
          config.process.noNewPrivileges = false;
        },
        /\/process\/args\/0: .*permission denied.* allow .*host_t:s0 the transition to .*forbidden_t/,
      ],
      [
        "selinuxLabel to which the policy allows no transition under noNewPrivileges",
        labelled(WITHOUT_NO_NEW_PRIVS),
        /\/process\/args\/0: .*operation not permitted.* nnp_transition to .*careful_t.*\/process\/noNewPrivileges/,
      ],
      [
        "mountLabel unknown to the policy",
        (config: Config) => {
          config.linux.mountLabel = UNKNOWN;
        },
        /\/linux\/mountLabel: \/mounts\/\d+: .*unknown_t.* no such context/,
      ],
      [
        "mountLabel that the policy allows for no file system",
        (config: Config) => {
          config.linux.mountLabel = SECRET;
        },
        /\/linux\/mountLabel: \/mounts\/\d+: .*allow .*host_t:s0 to mount it with .*secret_t/,
      ],
    ] as const) {
      guestSpec(`run, ${title}: error that says so`, MUST, async (sandbox) => {
        const result = await sandbox.container(mutate).run();
        sandbox.expectRefusal(result, /./, words);
      });
    }

    guestSpec(
      "mounts add, container with mountLabel: the new file system has that label",
      MOUNT,
      async (sandbox) => {
        const container = sandbox.limited("sleep 999", {}, (config) => {
          config.linux.mountLabel = FILES;
        });
        await container.started();
        const list = `/run/tmp/${container.id}.json`;
        const text = JSON.stringify([{ destination: "/mnt", type: "tmpfs", source: "tmpfs" }]);
        await sandbox.guest.output(`echo '${text}' > ${list}`);
        const added = await sandbox.invoke(["mounts", "add", container.id, list]);
        expect(added).toMatchObject({ code: 0, stderr: "" });
        const { stdout } = await container.exec("grep", " /mnt ", "/proc/mounts");
        expect(stdout).toContain(FILES);
      },
      { both: "has no such command" },
    );

    guestSpec(
      "exec --process-label, denied by the policy or unknown to it: error that says so",
      PRACTICE,
      async (sandbox) => {
        const container = sandbox.limited("sleep 999", {}, (config) => {
          config.process.selinuxLabel = CONTAINER;
          config.process.noNewPrivileges = false;
        });
        await container.started();
        const exec = (label: string) =>
          sandbox.invoke(["exec", "--process-label", label, container.id, "true"]);
        sandbox.expectRefusal(await exec(FORBIDDEN), /./, /the transition to .*forbidden_t/, 255);
        sandbox.expectRefusal(await exec(UNKNOWN), /./, /\/process\/selinuxLabel: .* no such context/, 255);
      },
    );

    guestSpec(
      "create with selinuxLabel, runtime not allowed to set it: error that says so",
      MUST,
      async (sandbox) => {
        const { bundle, id } = sandbox.container(labelled(OTHER));
        const create = sandbox.command(["create", "--bundle", bundle, id]);
        const result = await sandbox.guest.run(underLabel(CONTAINER, create));
        sandbox.expectRefusal(result, /./, /\/process\/selinuxLabel: .*allow .*container_t:s0:c1,c2 setexec/);
      },
    );

    guestSpec(
      "explain, bundle with selinuxLabel: the stub sets the labels before clone3, and init sets none",
      "explain",
      async (sandbox) => {
        const { bundle } = sandbox.container(labelled(CONTAINER));
        expect(await labelCalls(sandbox, bundle)).toEqual(["stub exec", "stub keycreate", "stub clone3"]);
      },
      { both: "has no such command" },
    );
  },
  SELINUX_GUEST,
);

/** The process and the attribute of each label that is set, and the clone, in the order of `explain`. */
async function labelCalls(sandbox: GuestSandbox, bundle: string): Promise<string[]> {
  const { stdout } = await sandbox.invoke(["explain", "--json", "--bundle", bundle]);
  const { operations }: Explanation = JSON.parse(stdout);
  return operations.flatMap(({ by, call, args }) => {
    const [, attribute] = /attr\/(\w+)"$/.exec(args[1] ?? "") ?? [];
    const what = call === "clone3" ? call : attribute;
    return what === undefined ? [] : [`${by} ${what}`];
  });
}
