import { CLOSE_RANGE_CLOEXEC, F_DUPFD_CLOEXEC, O_CLOEXEC } from "../../../bindings/abi/fcntl.ts";
import { kernel_sigaction, sock_fprog } from "../../../bindings/abi/layouts.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from "../../../bindings/abi/mman.ts";
import { PR_SET_DUMPABLE, PR_SET_PDEATHSIG } from "../../../bindings/abi/prctl.ts";
import { rlimitNumber } from "../../../bindings/abi/resource.ts";
import { SECCOMP_SET_MODE_FILTER } from "../../../bindings/abi/seccomp.ts";
import { SIGKILL, SIGPIPE } from "../../../bindings/abi/signal.ts";
import { SOCK_CLOEXEC } from "../../../bindings/abi/socket.ts";
import { at, type Data, data, type Program, type Register } from "../../../bindings/stub/program.ts";
import type { Process } from "../../spec/types.ts";

/** Sets the umask, by default 022: the caller's may be 0, and the container's files must not be writable for all because of it. */
export function setUmask(program: Program, process: Process): void {
  program.about("/process/user/umask", "set the umask");
  program.do("umask", [process.user?.umask ?? 0o022]);
}

/** A range of descriptor numbers, both ends included. */
export interface DescriptorRange {
  readonly first: number;
  readonly last: number;
}

export interface ExecProgramOptions {
  /** Listening socket to which `start` connects; undefined if there is nothing to wait for. */
  readonly listener: Register | undefined;
  /** The fifo whose reader a process of `exec` waits for; absent if there is nothing to wait for. */
  readonly fifo?: WaitFifo<Register> | undefined;
  readonly path: string;
  readonly env: readonly (string | Uint8Array)[];
  /** Number of descriptors after standard error that the process keeps. */
  readonly keepFds: number;
  /** Kept numbers that are closed for the process: something is open there only to keep other files from these numbers. */
  readonly gaps: readonly DescriptorRange[];
  /** The caller's RLIMIT_NOFILE, for a config that sets none: the JavaScript engine has changed the soft limit of this process. */
  readonly inheritedNofile: { readonly soft: bigint; readonly hard: bigint } | undefined;
  readonly seccomp: SeccompFilter | undefined;
  /** Whether the stub stays pid 1, which the kernel kills when the runtime ends, and the program is its child. The filter holds for both. */
  readonly underInit?: boolean;
}

/** A fifo as the process that waits for its reader has it. */
export interface WaitFifo<Descriptor> {
  /** Open for writing. */
  readonly writer: Descriptor;
  /** An inotify(7) descriptor, from which an event can be read once somebody has opened the fifo. */
  readonly watch: Descriptor;
}

export interface SeccompFilter {
  /** An array of struct sock_filter. */
  readonly filter: Uint8Array;
  /** SECCOMP_FILTER_FLAG_*. */
  readonly flags: number;
  /**
   * Present if the filter has a listener: the kernel makes its descriptor in the process, and the runtime has to take it from there
   * (container/seccomp/agent.ts). Without privileges the runtime can do so only if the process is dumpable (init/prepare-process.ts).
   */
  readonly listener: { readonly dumpable: boolean } | undefined;
}

/** Address of the word that becomes non-zero once the runtime has taken the listener's descriptor and passed it on. */
export const HANDED_OVER_ADDRESS = 0x10_0000_0000;

/**
 * Plans the last program. Init waits for `start` in it. Then follow the steps that must come last: limits that could make other calls fail, the
 * seccomp filter, and right after it the execve. If one of them fails, `start` gets the reply on its connection, which the execve
 * closes.
 */
export function execProgram(program: Program, process: Process, options: ExecProgramOptions): void {
  program.quiet = true;
  const first = 3 + options.keepFds;
  if (options.underInit === true) dieWithRuntime(program);
  if (options.listener !== undefined) waitForStart(program, options.listener, first);
  if (options.fifo !== undefined) waitForReader(program, options.fifo, first);
  setRlimits(program, process, options);
  const argv = program.stringArray(process.args);
  const envp = program.stringArray(options.env);
  const filter = options.seccomp === undefined ? undefined : filterProgram(program, options.seccomp.filter);
  program.about("", "close all descriptors but the container's own at execve");
  for (const gap of options.gaps) program.do("close_range", [gap.first, gap.last, CLOSE_RANGE_CLOEXEC]);
  program.do("close_range", [first, 0xffffffff, CLOSE_RANGE_CLOEXEC]);
  if (options.seccomp !== undefined && filter !== undefined) loadFilter(program, options.seccomp, filter);
  if (options.underInit === true) {
    program.about("", "stay pid 1, and go on in a child");
    program.do("init", []);
  }
  program.about("/process/args/0", `exec: "${process.args[0]}"`);
  program.do("execve", [options.path, argv, envp]);
}

/**
 * Has the kernel kill init, and with pid 1 its whole pid namespace, when the runtime ends, by SIGKILL too. Any later change of user or
 * capabilities would undo it: PR_SET_PDEATHSIG(2const).
 */
function dieWithRuntime(program: Program): void {
  program.about("", "die with the runtime");
  program.do("prctl", [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0]);
}

function waitForStart(program: Program, listener: Register, first: number): void {
  program.about("", "close all descriptors of the set-up");
  // A waiting init must have no descriptor of the host that another process could reach (CVE-2016-9962). EINVAL: the socket has this number.
  program.do("dup3", [listener, first, O_CLOEXEC], { tolerate: ["EINVAL"], path: "the start socket" });
  program.do("close_range", [first + 1, 0xffffffff, 0]);
  program.about("", "wait for start");
  const started = program.call("accept4", [first, 0, 0, SOCK_CLOEXEC]);
  program.do("set-channel", [started]);
}

/**
 * Waits until somebody opens the fifo, and writes one byte into it, as runc does. The channel closes before that, so that the runtime can
 * return: nobody hears of a failure from here on, and the process ends with exit code 127.
 */
function waitForReader(program: Program, { writer, watch }: WaitFifo<Register>, first: number): void {
  program.about("", "close all descriptors of the set-up");
  // Above both numbers first: one of the two may have the number of the other.
  const moved = [writer, watch].map((descriptor) =>
    program.call("fcntl", [descriptor, F_DUPFD_CLOEXEC, first + 2]),
  );
  for (const [index, descriptor] of moved.entries())
    program.do("dup3", [descriptor, first + index, O_CLOEXEC]);
  program.do("close_range", [first + 2, 0xffffffff, 0]);
  program.about("", "wait until the fifo of --exec-wait-fifo is opened");
  program.do("read", [first + 1, data(new Uint8Array(EVENT_CAPACITY)), EVENT_CAPACITY]);
  // A reader that has gone by now has released the process all the same: the write must not end it.
  const ignored = new Uint8Array(kernel_sigaction.size);
  ignored[0] = SIG_IGN;
  const before = data(new Uint8Array(kernel_sigaction.size));
  program.do("rt_sigaction", [SIGPIPE, data(ignored), before, SIGSET_SIZE]);
  program.do("write", [first, data(Uint8Array.of(0x30)), 1], { tolerate: ["EPIPE"] });
  program.do("rt_sigaction", [SIGPIPE, before, 0, SIGSET_SIZE]);
}

/** Room for some struct inotify_event without names. */
const EVENT_CAPACITY = 64;
const SIGSET_SIZE = 8;
const SIG_IGN = 1;

/**
 * Makes the process dumpable, so that a runtime without privileges can list its descriptors, take the listener's and write to its memory when
 * the filter is loaded. ptrace(2), "Ptrace access mode checking"
 */
export function becomeDumpable(program: Program): void {
  program.about("/linux/seccomp/listenerPath", "make the process dumpable for the caller");
  program.do("prctl", [PR_SET_DUMPABLE, 1, 0, 0, 0]);
}

/**
 * Loads the seccomp filter. It applies to the stub as well: any further system call may be denied, or may wait for a listener that nobody
 * serves yet. So the stub makes none before the execve. If there is a listener, the stub polls a word of its memory, which the runtime
 * sets once it has passed the listener's descriptor on.
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
  program.about("/linux/seccomp/listenerPath", "prepare to pass on the seccomp listener");
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  const word = program.call("mmap", [HANDED_OVER_ADDRESS, 4096, PROT_READ | PROT_WRITE, flags, -1, 0]);
  load();
  program.about("/linux/seccomp/listenerPath", "wait until the seccomp listener is passed on");
  program.do("await", [word]);
}

/** A `struct sock_fprog` and the filter that it points to. */
function filterProgram(program: Program, instructions: Uint8Array): Data {
  const header = data(new Uint8Array(sock_fprog.size));
  new DataView(header.bytes.buffer).setUint16(sock_fprog.len, instructions.length / 8, true);
  program.store(at(header, sock_fprog.filter), data(instructions), 8);
  return header;
}

function setRlimits(program: Program, process: Process, { inheritedNofile }: ExecProgramOptions): void {
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
