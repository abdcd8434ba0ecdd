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

/** The host's procfs, before the container has anything to say in what is mounted where (CVE-2025-52881). */
export function openHostProc(program: Program, plan: InitPlan): void {
  program.about("", "open the host's procfs");
  program.call("openat", [AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC, 0], { into: plan.hostProc });
}

/**
 * Writes sysctls through the host's procfs from inside the container's namespaces: procfs shows each process the values of
 * the namespaces that this process is in. RESOLVE_NO_XDEV refuses anything that is mounted over a part of it.
 */
export function writeSysctls(program: Program, plan: InitPlan): void {
  const resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  for (const [key, value] of Object.entries(plan.config.linux?.sysctl ?? {})) {
    program.about(`/linux/sysctl/${pointerToken(key)}`, `set sysctl ${key}`);
    writeFile(program, plan, `sys/${sysctlPath(key)}`, value, resolve);
  }
}

/** Writes a value in one piece to a file of the host's procfs. */
function writeFile(program: Program, plan: InitPlan, path: string, value: string, resolve: number): void {
  const how = openHow(O_WRONLY | O_CLOEXEC, 0, resolve);
  const shown = `/proc/${path}`;
  const file = program.call("openat2", [plan.hostProc, path, how, OPEN_HOW_SIZE], { path: shown });
  program.do("write", [file, value, Buffer.byteLength(value)], { path: shown });
  program.do("close", [file]);
}
