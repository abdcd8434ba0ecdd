import {
  AT_EMPTY_PATH,
  O_CLOEXEC,
  O_LARGEFILE,
  O_NOCTTY,
  O_RDWR,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
} from "../../../bindings/abi/fcntl.ts";
import { TIOCGPTPEER, TIOCSCTTY, TIOCSPTLCK, TIOCSWINSZ } from "../../../bindings/abi/ioctl.ts";
import { statfs as statfsLayout } from "../../../bindings/abi/layouts.ts";
import { OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE } from "../../../bindings/abi/mount.ts";
import { data, type Program, type Register, type Reply } from "../../../bindings/stub/program.ts";
import { RuntsError } from "../../errors.ts";
import type { Process } from "../../spec/types.ts";
import type { InitPlan } from "../init-plan.ts";
import { openTarget } from "../mounts/made-mounts.ts";
import { attach } from "../rootfs-paths.ts";
import { sendDescriptor } from "../send-descriptor.ts";
import { OPEN_HOW_SIZE, openHow } from "../structs.ts";

const POINTER = "/process/terminal";
/** linux/magic.h */
export const DEVPTS_SUPER_MAGIC = 0x1cd1n;

/**
 * Opens a new terminal on the container's devpts and sends its master to the console socket. No path is used that the container's author
 * could redirect: the slave is opened from the master by TIOCGPTPEER (CVE-2025-52565). Returns the slave, and a check that the master is on
 * a devpts.
 */
export function openTerminal(program: Program, root: Register, socket: Register): TerminalPlan {
  program.about(POINTER, "open a terminal");
  const how = openHow(O_RDWR | O_NOCTTY | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  const master = program.call("openat2", [root, "dev/pts/ptmx", how, OPEN_HOW_SIZE], {
    path: "/dev/pts/ptmx",
  });
  const statfs = program.output(statfsLayout.size);
  program.do("fstatfs", [master, statfs], { path: "/dev/pts/ptmx" });
  program.do("ioctl", [master, TIOCSPTLCK, data(new Uint8Array(4))], { path: "/dev/pts/ptmx" });
  // Others can see the flags of the open file (F_GETFL), so they are those of a plain open(2). execProgram closes it at execve.
  const slave = program.call("ioctl", [master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_LARGEFILE], {
    path: "/dev/pts/ptmx",
  });
  // Receivers of --console-socket expect this name.
  sendDescriptor(program, master, { socket, text: "/dev/ptmx", path: "the console socket" });
  program.do("close", [master]);
  program.do("close", [socket]);
  const output = program.outputs.indexOf(statfs);
  return { slave, check: (reply) => checkDevpts(reply.outputs[output]) };
}

export interface TerminalPlan {
  readonly slave: Register;
  readonly check: (reply: Reply) => void;
}

function checkDevpts(statfs: Uint8Array | undefined): void {
  const type =
    statfs === undefined ? 0n : new DataView(statfs.buffer, statfs.byteOffset).getBigUint64(0, true);
  if (type === DEVPTS_SUPER_MAGIC) return;
  throw new RuntsError(`${POINTER}: /dev/pts/ptmx of the container is not on a devpts file system`, {
    operation: "fstatfs",
    path: "/dev/pts/ptmx",
    pointer: POINTER,
  });
}

/** Binds the terminal to /dev/console, without following a symbolic link there (CVE-2025-52565). */
export function bindConsole(program: Program, plan: InitPlan, slave: Register): void {
  program.about(POINTER, "bind the terminal to /dev/console");
  const target = openTarget(program, plan, "/dev/console", "file", { noSymlinks: true });
  const copy = program.call("open_tree", [slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH]);
  attach(program, copy, target.fd, { path: "/dev/console" });
  program.do("close", [copy]);
  program.do("close", [target.fd]);
}

/** Makes the terminal the standard streams, and the controlling terminal of init's session. */
export function attachTerminal(program: Program, slave: Register, { consoleSize }: Process): void {
  program.about(POINTER, "make the terminal the standard streams");
  for (const fd of [0, 1, 2]) program.do("dup3", [slave, fd, 0]);
  program.do("close", [slave]);
  program.do("ioctl", [0, TIOCSCTTY, 0]);
  if (consoleSize === undefined || consoleSize.height === 0 || consoleSize.width === 0) return;
  program.about("/process/consoleSize", "set the size of the terminal");
  const size = new Uint16Array([consoleSize.height, consoleSize.width, 0, 0]);
  program.do("ioctl", [0, TIOCSWINSZ, data(new Uint8Array(size.buffer))]);
}
