import { expect, it } from "vitest";
import { RuntsError, type RuntsErrorDetails } from "../../errors.ts";
import type { Config, Process } from "../../spec/types.ts";
import { explainLabelFailure, explainTransition } from "./label-failure.ts";

const CONTEXT = "system_u:system_r:container_t:s0";
const CONFINED = { "/proc/self/attr/apparmor/current": "engine (enforce)" };
const SELINUX = { "/proc/self/attr/current": "u:r:host_t:s0\0", "/sys/fs/selinux/enforce": "1" };

interface Situation {
  readonly process?: Partial<Process>;
  readonly linux?: Config["linux"];
  readonly settings?: Readonly<Record<string, string>>;
}

function explained(
  details: RuntsErrorDetails,
  { process, linux, settings = {} }: Situation = {},
): RuntsError {
  const config: Config = { ociVersion: "1.2.0", root: { path: "rootfs" }, linux: linux ?? {} };
  const given = { args: ["true"], cwd: "/", ...process };
  const error = new RuntsError("refused", details);
  const read = (path: string) => settings[path];
  return details.operation === "execve"
    ? explainTransition(error, given, read)
    : explainLabelFailure(error, given, config, read);
}

const profile = { operation: "write", pointer: "/process/apparmorProfile" };
const label = { operation: "write", pointer: "/process/selinuxLabel" };
const noNewPrivileges = true;

it.each([
  [{ ...profile, errno: "ENOENT" }, {}, "no profile of this name is loaded"],
  [
    { ...profile, errno: "EACCES" },
    { process: { apparmorProfile: "box" }, settings: CONFINED },
    'under the AppArmor profile engine, which needs "change_profile -> box,"',
  ],
  [{ ...label, errno: "EINVAL" }, {}, "has no such context"],
  [{ ...label, errno: "EACCES" }, { settings: SELINUX }, "allow u:r:host_t:s0 setexec"],
  [
    { operation: "execve", errno: "EPERM" },
    { process: { apparmorProfile: "box", noNewPrivileges }, settings: CONFINED },
    "can't be left for box with /process/noNewPrivileges",
  ],
  [
    { operation: "execve", errno: "EPERM" },
    { process: { selinuxLabel: CONTEXT, noNewPrivileges }, settings: SELINUX },
    `allow u:r:host_t:s0 nnp_transition to ${CONTEXT}`,
  ],
  [
    { operation: "execve", errno: "EACCES" },
    { process: { selinuxLabel: CONTEXT }, settings: SELINUX },
    `allow u:r:host_t:s0 the transition to ${CONTEXT}`,
  ],
  [
    { operation: "clone3", errno: "EACCES", pointer: "/linux/namespaces" },
    { linux: { namespaces: [{ type: "user" }] }, settings: CONFINED },
    'under the AppArmor profile engine, which needs "userns,"',
  ],
] as const)("explains %j", (details, situation, words) => {
  const { message, errno } = explained(details, situation);
  expect(message).toMatch(/^refused; /);
  expect(message).toContain(words);
  expect(errno).toBe(details.errno);
});

it("names linux.mountLabel where a file system does not take its context", () => {
  const details = { operation: "fsconfig", errno: "EINVAL", pointer: "/mounts/1", path: "context=a:b:c" };
  const error = explained(details, { linux: { mountLabel: "a:b:c" } });
  expect(error.message).toMatch(/^\/linux\/mountLabel: refused; .*has no such context$/);
  expect(error.pointer).toBe("/linux/mountLabel");
  const linux = { mountLabel: "a:b:c" };
  expect(explained({ ...details, path: "mode=9" }, { linux }).message).toBe("refused");
  const denied = { operation: "fsconfig", errno: "EACCES", pointer: "/mounts/1" };
  expect(explained(denied, { linux, settings: SELINUX }).message).toContain(
    "host_t:s0 to mount it with a:b:c",
  );
  expect(explained(denied, { linux }).message).toBe("refused");
  expect(explained(denied, { settings: SELINUX }).message).toBe("refused");
});

it.each([
  [{ ...profile, errno: "EACCES" }, {}],
  [{ ...profile, errno: "ENOENT", operation: "openat2" }, {}],
  [{ ...label, errno: "ENOMEM" }, {}],
  [
    { operation: "execve", errno: "EPERM" },
    { process: { apparmorProfile: "box" }, settings: CONFINED },
  ],
  [
    { operation: "execve", errno: "EACCES" },
    { process: { apparmorProfile: "box" }, settings: CONFINED },
  ],
  [{ operation: "execve", errno: "EACCES" }, { settings: SELINUX }],
  [{ operation: "clone3", errno: "EACCES", pointer: "/linux/namespaces" }, { settings: CONFINED }],
  [
    { operation: "clone3", errno: "EACCES", pointer: "/linux/cgroupsPath" },
    { linux: { namespaces: [{ type: "user" }] }, settings: CONFINED },
  ],
] as const)("has nothing to say of %j", (details, situation) => {
  expect(explained(details, situation).message).toBe("refused");
});
