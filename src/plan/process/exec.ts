import { CLOSE_RANGE_CLOEXEC, O_CLOEXEC } from "../../../bindings/abi/fcntl.ts";
import { sock_fprog } from "../../../bindings/abi/layouts.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from "../../../bindings/abi/mman.ts";
import { PR_SET_DUMPABLE } from "../../../bindings/abi/prctl.ts";
import { rlimitNumber } from "../../../bindings/abi/resource.ts";
import { SECCOMP_SET_MODE_FILTER } from "../../../bindings/abi/seccomp.ts";
import { SOCK_CLOEXEC } from "../../../bindings/abi/socket.ts";
import { at, type Data, data, type Program, type Register } from "../../../bindings/stub/program.ts";
import type { Process } from "../../spec/types.ts";

/** Without a umask of its own it gets the usual one: that of a caller, which may be 0, must not make its files writable for all. */
export function setUmask(program: Program, process: Process): void {
  program.about("/process/user/umask", "set the umask");
  program.do("umask", [process.user?.umask ?? 0o022]);
}

/** Of descriptors' numbers. */
export interface DescriptorRange {
  readonly first: number;
  readonly last: number;
}

export interface StartOptions {
  /** Socket on which `start` connects; absent if there is nothing to wait for. */
  readonly listener: Register | undefined;
  readonly path: string;
  readonly env: readonly (string | Uint8Array)[];
  /** Number of descriptors after stdio that the process keeps. */
  readonly keepFds: number;
  /** Those of them that only keep something else from getting their numbers: the process has them closed. */
  readonly gaps: readonly DescriptorRange[];
  /** Soft limit of open files that the caller had, where the config sets none: the engine has changed ours. */
  readonly inheritedNofile: { readonly soft: bigint; readonly hard: bigint } | undefined;
  readonly seccomp: SeccompFilter | undefined;
}

export interface SeccompFilter {
  /** An array of struct sock_filter. */
  readonly filter: Uint8Array;
  /** SECCOMP_FILTER_FLAG_*. */
  readonly flags: number;
  /**
   * Present if the kernel makes a listener, whose descriptor the runtime has to take (seccomp-listener.ts): from a process that is
   * dumpable, where the runtime has no privileges (prepare-process.ts).
   */
  readonly listener: { readonly dumpable: boolean } | undefined;
}

/** Address of the word that is not 0 once the runtime has taken the listener's descriptor and handed it on. */
export const HANDED_OVER_ADDRESS = 0x10_0000_0000;

/**
 * The last program. That of init waits for `start`; then it does what must come last: limits that could keep anything else from working,
 * the seccomp filter, after which nothing but execve follows, and execve itself. If one of them fails, `start` gets the reply
 * on the connection it has made; the execve closes that connection.
 */
export function execProgram(program: Program, process: Process, options: StartOptions): void {
  program.quiet = true;
  const first = 3 + options.keepFds;
  if (options.listener !== undefined) waitForStart(program, options.listener, first);
  setRlimits(program, process, options);
  const argv = program.stringArray(process.args);
  const envp = program.stringArray(options.env);
  const filter = options.seccomp === undefined ? undefined : filterProgram(program, options.seccomp.filter);
  program.about("", "close all descriptors but the container's own at execve");
  for (const gap of options.gaps) program.do("close_range", [gap.first, gap.last, CLOSE_RANGE_CLOEXEC]);
  program.do("close_range", [first, 0xffffffff, CLOSE_RANGE_CLOEXEC]);
  if (options.seccomp !== undefined && filter !== undefined) loadFilter(program, options.seccomp, filter);
  program.about("/process/args/0", `exec: "${process.args[0]}"`);
  program.do("execve", [options.path, argv, envp]);
}

function waitForStart(program: Program, listener: Register, first: number): void {
  program.about("", "close all descriptors of the set-up");
  // Whoever gets at a waiting init must find nothing of the host in it (CVE-2016-9962). EINVAL: it is in its place already.
  program.do("dup3", [listener, first, O_CLOEXEC], { tolerate: ["EINVAL"], path: "the start socket" });
  program.do("close_range", [first + 1, 0xffffffff, 0]);
  program.about("", "wait for start");
  const started = program.call("accept4", [first, 0, 0, SOCK_CLOEXEC]);
  program.do("set-channel", [started]);
}

/**
 * Lets a runtime without privileges reach the process, for what it has to do there when the filter is loaded: look at the
 * descriptors, take one, write to the memory (ptrace(2), access mode checking).
 */
export function becomeReachable(program: Program): void {
  program.about("/linux/seccomp/listenerPath", "bring the process within reach of the caller");
  program.do("prctl", [PR_SET_DUMPABLE, 1, 0, 0, 0]);
}

/**
 * The filter decides about all system calls that follow, those of the stub too: any of them may be denied, or wait for the
 * listener that nobody has yet. So there is none between the filter and the execve; with a listener, the stub watches a word of
 * its memory, into which the runtime writes once the listener's descriptor is in the right hands.
 */
function loadFilter(program: Program, seccomp: SeccompFilter, filter: Data): void {
  const load = () => {
    program.about("/linux/seccomp", "load the seccomp filter");
    program.do("seccomp", [SECCOMP_SET_MODE_FILTER, seccomp.flags, filter]);
  };
  if (seccomp.listener === undefined) {
    load();
    return;
  }
  program.about("/linux/seccomp/listenerPath", "prepare the hand-over of the seccomp listener");
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  const word = program.call("mmap", [HANDED_OVER_ADDRESS, 4096, PROT_READ | PROT_WRITE, flags, -1, 0]);
  load();
  program.about("/linux/seccomp/listenerPath", "wait until the seccomp listener is handed over");
  program.do("await", [word]);
}

/** `struct sock_fprog` and the filter that it points to. */
function filterProgram(program: Program, instructions: Uint8Array): Data {
  const header = data(new Uint8Array(sock_fprog.size));
  new DataView(header.bytes.buffer).setUint16(sock_fprog.len, instructions.length / 8, true);
  program.store(at(header, sock_fprog.filter), data(instructions), 8);
  return header;
}

function setRlimits(program: Program, process: Process, { inheritedNofile }: StartOptions): void {
  const rlimits = process.rlimits ?? [];
  rlimits.forEach(({ type, soft, hard }, index) => {
    program.about(`/process/rlimits/${index}`, `set ${type}`);
    setRlimit(program, rlimitNumber(type) ?? -1, soft, hard);
  });
  if (inheritedNofile === undefined || rlimits.some(({ type }) => type === "RLIMIT_NOFILE")) return;
  program.about("", "set RLIMIT_NOFILE back to what the caller had");
  setRlimit(program, rlimitNumber("RLIMIT_NOFILE") ?? -1, inheritedNofile.soft, inheritedNofile.hard);
}

function setRlimit(program: Program, resource: number, soft: bigint, hard: bigint): void {
  const limit = data(new Uint8Array(new BigUint64Array([soft, hard]).buffer));
  program.do("prlimit64", [0, resource, limit, 0]);
}
