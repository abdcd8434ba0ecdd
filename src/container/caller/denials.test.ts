import { describe, expect, it } from "vitest";
import { RuntsError, type RuntsErrorDetails } from "../../errors.ts";
import type { Config } from "../../spec/types.ts";
import { explainDenial, type ReadSetting } from "./denials.ts";

const NOBODY = { privileged: false };
const mapped = [{ containerID: 0, hostID: 1500, size: 1 }];

function config(changes: Partial<Config> = {}): Config {
  return {
    ociVersion: "1.2.0",
    root: { path: "rootfs" },
    linux: { namespaces: [{ type: "user" }], uidMappings: mapped, gidMappings: mapped },
    ...changes,
  };
}

/** The message that becomes of an error. */
function explained(
  details: RuntsErrorDetails,
  configuration: Config = config(),
  settings: Readonly<Record<string, string>> = {},
  caller = NOBODY,
): string {
  const read: ReadSetting = (path) => settings[path];
  const error = explainDenial(new RuntsError("refused", details), caller, configuration, "", read);
  return error instanceof Error ? error.message : "";
}

describe("explainDenial", () => {
  it("names the limit of namespaces that is 0", () => {
    const details = { operation: "clone3", errno: "ENOSPC" };
    expect(explained(details, config(), { "/proc/sys/user/max_user_namespaces": "0" })).toContain(
      "sysctl -w user.max_user_namespaces=15000",
    );
    expect(explained(details, config(), { "/proc/sys/user/max_net_namespaces": "0" })).toContain(
      "user.max_net_namespaces is 0",
    );
    expect(explained(details)).toContain("a limit of namespaces is reached");
  });

  it("asks for a user namespace where the config has none", () => {
    const details = { operation: "clone3", errno: "EPERM" };
    expect(explained(details, config({ linux: {} }))).toContain("runts spec --rootless");
    expect(explained(details, config({ linux: {} }), {}, { privileged: true })).toBe("refused");
  });

  it("names the settings by which Debian and Ubuntu deny user namespaces", () => {
    const details = { operation: "clone3", errno: "EPERM" };
    const debian = { "/proc/sys/kernel/unprivileged_userns_clone": "0" };
    expect(explained(details, config(), debian)).toContain("kernel.unprivileged_userns_clone=1");
    const ubuntu = { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1" };
    const mount = { operation: "mount_setattr", errno: "EACCES", pointer: "/linux/rootfsPropagation" };
    expect(explained(mount, config(), ubuntu)).toContain("kernel.apparmor_restrict_unprivileged_userns=0");
    expect(explained(mount, config(), ubuntu, { privileged: true })).toBe("refused");
    expect(explained({ errno: "ENOENT" }, config(), ubuntu)).toBe("refused");
  });

  it("says which id of a mount or a user is not mapped", () => {
    const mounts = [{ destination: "/dev/pts", type: "devpts", options: ["gid=5"] }];
    const details = { operation: "fsconfig", errno: "EINVAL", pointer: "/mounts/0", path: "gid=5" };
    expect(explained(details, config({ mounts }))).toContain("gid=5: this id is not in /linux/gidMappings");
    expect(explained({ ...details, path: "gid=0" }, config({ mounts }))).toBe("refused");
    const process = { args: ["true"], cwd: "/", user: { uid: 7, gid: 0 } };
    const user = { operation: "setresuid", errno: "EINVAL", pointer: "/process/user/uid" };
    expect(explained(user, config({ process }))).toContain("not in /linux/uidMappings");
    const maps = { "/proc/self/uid_map": "0 1500 1\n8 300000 100\n" };
    expect(explained(user, config({ process, linux: {} }), maps)).toContain("in the caller's user namespace");
    const eight = { ...process, user: { uid: 8, gid: 0 } };
    expect(explained(user, config({ process: eight, linux: {} }), maps)).toBe("refused");
  });

  it.each([
    ["sysfs", "network namespace"],
    ["mqueue", "ipc namespace"],
    ["proc", "pid namespace"],
    ["ext4", "may not mount ext4"],
  ])("says what a mount of %s needs", (type, words) => {
    const mounts = [{ destination: "/x", type }];
    const details = { operation: "fsopen", errno: "EPERM", pointer: "/mounts/0" };
    expect(explained(details, config({ mounts }))).toContain(words);
  });

  it("names the mounts that keep a new proc out of a user namespace, and the options that it needs there", () => {
    const details = { operation: "fsmount", errno: "EPERM", pointer: "/mounts/0" };
    const mountinfo = "2 1 0:2 / /proc ro,relatime - proc proc rw";
    const mask = "3 2 0:3 /null /proc/keys rw - tmpfs tmpfs rw";
    const shown = (type: string, ...lines: string[]) =>
      explained(details, config({ mounts: [{ destination: "/x", type }] }), {
        "/proc/self/mountinfo": lines.join("\n"),
      });
    expect(shown("proc", mountinfo, mask)).toContain("would reveal what mounts hide at /proc/keys: unmount");
    expect(shown("proc", mountinfo)).toContain("/proc is mounted ro: mount it with the options ro, too");
    expect(shown("sysfs", mountinfo)).toContain("no mount of the whole sysfs is there");
    expect(shown("proc", mountinfo.replace("ro,", "rw,"))).toContain("pid namespace of its own");
  });

  it("tells of recursive binds and locked flags", () => {
    const mounts = [{ destination: "/x", source: "/y", options: ["bind"] }];
    const details = { operation: "open_tree", errno: "EINVAL", pointer: "/mounts/0" };
    expect(explained(details, config({ mounts }))).toContain("rbind");
    const flags = { operation: "mount_setattr", errno: "EPERM", pointer: "/mounts/0" };
    expect(explained(flags, config({ mounts }))).toContain("noexec");
  });

  it("leaves other errors as they are", () => {
    const error = new Error("else");
    expect(explainDenial(error, NOBODY, config())).toBe(error);
    expect(explained({ operation: "execve", errno: "ENOENT" })).toBe("refused");
  });
});
