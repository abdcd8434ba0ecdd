import {
  AT_FDCWD,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_XDEV,
} from "../../../bindings/abi/fcntl.ts";
import type { Program, Register } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import type { Process } from "../../spec/types.ts";
import type { InitPlan } from "../init-plan.ts";
import { OPEN_HOW_SIZE, openHow } from "../structs.ts";

/** Whether a process asks for a label of a security module. */
export function wantsLabel({ apparmorProfile = "", selinuxLabel = "" }: Process): boolean {
  return apparmorProfile !== "" || selinuxLabel !== "";
}

/**
 * Sets the labels that the process takes at its execve, and with SELinux that of the keyring which is made for it. A process writes
 * them for itself, and fork(2) hands both on: so this is done before the clone, through the host's procfs, which the container has no
 * say in (CVE-2019-16884, CVE-2025-52881). No descriptor of that may be open where a process of the container can reach it: from
 * /proc/PID/fd/N, ".." leads to the host's files.
 */
export function setExecLabels(program: Program, process: Process, makesKeyring: boolean): void {
  const { apparmorProfile = "", selinuxLabel = "" } = process;
  program.about(
    apparmorProfile === "" ? "/process/selinuxLabel" : "/process/apparmorProfile",
    "open the host's procfs",
  );
  const procfs = program.call("openat", [AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, 0]);
  if (apparmorProfile !== "") {
    program.about("/process/apparmorProfile", `set the AppArmor profile ${apparmorProfile}`);
    const file = openAttribute(program, procfs, "apparmor/exec", ["ENOENT"]);
    // Before Linux 5.8 AppArmor shared the file with the other modules.
    openAttribute(program, procfs, "exec", [], { file, onlyIfMissing: true });
    write(program, file, `exec ${apparmorProfile}`, "exec");
  }
  if (selinuxLabel !== "") {
    program.about("/process/selinuxLabel", `set the SELinux label ${selinuxLabel}`);
    // Or the container could not use its own keyring. Nothing else that is made before the execve is a key.
    for (const name of ["exec", ...(makesKeyring ? ["keycreate"] : [])])
      write(program, openAttribute(program, procfs, name, []), selinuxLabel, name);
  }
  program.do("close", [procfs]);
}

/** The annotation of crun by which podman asks for another option than `context` to label a container's file systems with. */
const CONTEXT_TYPE = "run.oci.mount_context_type";

/** mount(8): `context` labels all files for good, the others leave them to be labelled anew, as systemd in a container does. */
const CONTEXT_OPTIONS: readonly string[] = ["context", "fscontext", "defcontext", "rootcontext"];

/** The option of a new file system with linux.mountLabel, as far as the host has it; empty for none. */
export function contextOption({ config, facts }: Pick<InitPlan, "config" | "facts">): string {
  if (facts.mountLabel === "") return "";
  const option = config.annotations?.[CONTEXT_TYPE] ?? "context";
  if (CONTEXT_OPTIONS.includes(option)) return `${option}=${facts.mountLabel}`;
  const pointer = `/annotations/${CONTEXT_TYPE}`;
  const message = `${pointer}: must be one of ${CONTEXT_OPTIONS.join(", ")}`;
  throw new RuntsError(message, { operation: "mount", errno: "EINVAL", path: option, pointer });
}

/** Gives a directory of a new mount the label of linux.mountLabel, where its file system takes no context when it is mounted. */
export function labelDirectory(program: Program, mount: Register, label: string): void {
  const directory = program.call("openat", [mount, ".", O_DIRECTORY | O_CLOEXEC, 0]);
  labelFile(program, directory, label);
  program.do("close", [directory]);
}

/** selinux(8): the context of a file is an extended attribute. */
export function labelFile(
  program: Program,
  file: Register,
  label: string,
  tolerate: readonly string[] = [],
): void {
  program.do("fsetxattr", [file, "security.selinux", label, Buffer.byteLength(label), 0], {
    path: `label ${label}`,
    tolerate,
  });
}

function openAttribute(
  program: Program,
  procfs: Register,
  name: string,
  tolerate: readonly string[],
  retry?: { readonly file: Register; readonly onlyIfMissing: true },
): Register {
  const path = `thread-self/attr/${name}`;
  const how = openHow(O_WRONLY | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
  const guard = retry === undefined ? {} : { into: retry.file, if: [retry.file, "failed"] as const };
  return program.call("openat2", [procfs, path, how, OPEN_HOW_SIZE], {
    ...guard,
    tolerate,
    path: `/proc/${path}`,
  });
}

function write(program: Program, file: Register, text: string, name: string): void {
  program.do("write", [file, text, Buffer.byteLength(text)], { path: `/proc/thread-self/attr/${name}` });
  program.do("close", [file]);
}
