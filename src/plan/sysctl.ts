import {
  AT_FDCWD,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../../bindings/abi/fcntl.ts";
import type { Program } from "../../bindings/stub/program.ts";
import { pointerToken } from "../spec/json/scanner.ts";
import { sysctlPath } from "../spec/rules/sysctl.ts";
import type { InitPlan } from "./init-plan.ts";
import { OPEN_HOW_SIZE, openHow } from "./structs.ts";

/** Opens the host's procfs before the container can influence what is mounted where (CVE-2025-52881). */
export function openHostProc(program: Program, plan: InitPlan): void {
  program.about("", "open the host's procfs");
  program.call("openat", [AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, 0], { into: plan.hostProc });
}

/**
 * Writes the sysctls from inside the container's namespaces, but through the host's procfs: procfs shows each process the values of its own
 * namespaces. RESOLVE_NO_XDEV refuses anything that is mounted over a part of procfs.
 */
export function writeSysctls(program: Program, plan: InitPlan): void {
  const how = openHow(O_WRONLY | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
  for (const [key, value] of Object.entries(plan.config.linux?.sysctl ?? {})) {
    program.about(`/linux/sysctl/${pointerToken(key)}`, `set sysctl ${key}`);
    const path = `sys/${sysctlPath(key)}`;
    const shown = `/proc/${path}`;
    const file = program.call("openat2", [plan.hostProc, path, how, OPEN_HOW_SIZE], { path: shown });
    // One write has to hold the whole value: kernel.sysctl_writes_strict.
    program.do("write", [file, value, Buffer.byteLength(value)], { path: shown });
    program.do("close", [file]);
  }
}
