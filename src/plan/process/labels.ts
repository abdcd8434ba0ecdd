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

/** Whether a process has an AppArmor profile or an SELinux label. */
export function wantsLabel({ apparmorProfile = "", selinuxLabel = "" }: Process): boolean {
  return apparmorProfile !== "" || selinuxLabel !== "";
}

/**
 * Sets the labels that the process gets at its execve and, with SELinux, the label of its keyring. A process can only write its own, and
 * fork(2) inherits them. So this happens before the clone, through the host's procfs, which the container can't influence (CVE-2019-16884,
 * CVE-2025-52881). That procfs is closed again before a process of the container could reach its descriptor: from /proc/PID/fd/N, ".." leads to
 * the host's files.
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
    // Without keycreate the container couldn't use its own keyring, the only key that is made before the execve.
    for (const name of ["exec", ...(makesKeyring ? ["keycreate"] : [])])
      write(program, openAttribute(program, procfs, name, []), selinuxLabel, name);
  }
  program.do("close", [procfs]);
}

/** crun's annotation, by which podman chooses another option than `context` to label a container's file systems. */
const CONTEXT_TYPE = "run.oci.mount_context_type";

/** mount(8). `context` fixes the labels of all files; with the others they can be relabelled, as systemd in a container does. */
const CONTEXT_OPTIONS: readonly string[] = ["context", "fscontext", "defcontext", "rootcontext"];

/** The mount option that applies linux.mountLabel to a new file system; empty without a label or without SELinux. */
export function contextOption({ config, facts }: Pick<InitPlan, "config" | "facts">): string {
  if (facts.mountLabel === "") return "";
  const option = config.annotations?.[CONTEXT_TYPE] ?? "context";
  if (CONTEXT_OPTIONS.includes(option)) return `${option}=${facts.mountLabel}`;
  const pointer = `/annotations/${CONTEXT_TYPE}`;
  const message = `${pointer}: must be one of ${CONTEXT_OPTIONS.join(", ")}`;
  throw new RuntsError(message, { operation: "mount", errno: "EINVAL", path: option, pointer });
}

/** Labels the root of a new mount with linux.mountLabel, for a file system that takes no context when it is mounted. */
export function labelDirectory(program: Program, mount: Register, label: string): void {
  const directory = program.call("openat", [mount, ".", O_DIRECTORY | O_CLOEXEC, 0]);
  labelFile(program, directory, label);
  program.do("close", [directory]);
}

/** Sets the SELinux context of a file, which is an extended attribute: selinux(8). */
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
