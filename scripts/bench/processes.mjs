/**
 * Starts and times programs by posix_spawn(3) and wait4(2). Node's spawnSync takes a millisecond of its own, a third of what crun's small
 * commands take, and does not tell the CPU time of one child.
 */
import { spawnSync } from "node:child_process";
import { closeSync, readSync } from "node:fs";
import koffi from "koffi";
import { Missing } from "../machine.mjs";

const libc = koffi.load(null);
const posixSpawn = libc.func(
  "int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, const char **argv, const char **envp)",
);
const initActions = libc.func("int posix_spawn_file_actions_init(void *actions)");
const addOpen = libc.func(
  "int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, uint mode)",
);
const addDup = libc.func("int posix_spawn_file_actions_adddup2(void *actions, int fd, int target)");
const destroyActions = libc.func("int posix_spawn_file_actions_destroy(void *actions)");
const initAttributes = libc.func("int posix_spawnattr_init(void *attributes)");
const setFlags = libc.func("int posix_spawnattr_setflags(void *attributes, int16 flags)");
const setDefault = libc.func("int posix_spawnattr_setsigdefault(void *attributes, void *signals)");
const addSignal = libc.func("int sigaddset(void *signals, int signal)");
const wait4 = libc.func("int wait4(int pid, _Out_ int *status, int options, void *usage)");
const pipe2 = libc.func("int pipe2(void *descriptors, int flags)");

const EINTR = 4;
const O_CLOEXEC = 0o2000000;
const O_RDWR = 2;
const POSIX_SPAWN_SETSIGDEF = 4;
const SIGPIPE = 13;

/** posix_spawn_file_actions_t and posix_spawnattr_t are smaller in every C library, and so are sigset_t and struct rusage. */
const opaqueSize = 512;

/** Node ignores SIGPIPE, which a program would inherit. */
const attributes = Buffer.alloc(opaqueSize);
const defaultSignals = Buffer.alloc(opaqueSize);
initAttributes(attributes);
addSignal(defaultSignals, SIGPIPE);
setDefault(attributes, defaultSignals);
setFlags(attributes, POSIX_SPAWN_SETSIGDEF);

/** All variables of a measured program, but for those that it is given: a long environment would cost each of them. */
const environment = { PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" };

const usage = Buffer.alloc(opaqueSize);

function must(result, call) {
  if (result !== 0) throw new Missing(`${call} failed (${result})`);
}

/**
 * Starts `argv`, whose first word is a path, and returns its process id. Its streams are /dev/null, or the descriptors `output` and
 * `errors`.
 */
export function start({ argv, env = {} }, { output, errors } = {}) {
  const actions = Buffer.alloc(opaqueSize);
  must(initActions(actions), "posix_spawn_file_actions_init");
  for (const [fd, given] of [undefined, output, errors].entries()) {
    if (given === undefined) addOpen(actions, fd, "/dev/null", O_RDWR, 0);
    else addDup(actions, given, fd);
  }
  const variables = Object.entries({ ...environment, ...env }).map(([name, value]) => `${name}=${value}`);
  const pid = [0];
  const result = posixSpawn(pid, argv[0], actions, attributes, [...argv, null], [...variables, null]);
  destroyActions(actions);
  must(result, `posix_spawn of ${argv[0]}`);
  return pid[0];
}

/** Waits for a child's end. Its CPU time, user and system, includes that of all the children that it has waited for. */
export function wait(pid) {
  const status = [0];
  let ended;
  do {
    ended = wait4(pid, status, 0, usage);
  } while (ended === -1 && koffi.errno() === EINTR);
  must(ended - pid, "wait4");
  const signal = status[0] & 0x7f;
  return { code: signal === 0 ? status[0] >> 8 : 128 + signal, cpuMs: timeval(0) + timeval(16) };
}

/** A struct timeval, in ms, of the struct rusage of the last wait. */
function timeval(offset) {
  return Number(usage.readBigInt64LE(offset)) * 1e3 + Number(usage.readBigInt64LE(offset + 8)) / 1e3;
}

function sinceMs(begun) {
  return Number(process.hrtime.bigint() - begun) / 1e6;
}

/** Runs a command and returns the time until its end, and its CPU time, in ms; one that fails is run again to show why. */
export function time(command) {
  const begun = process.hrtime.bigint();
  const { code, cpuMs } = wait(start(command));
  const ms = sinceMs(begun);
  check(command, code);
  return { ms, cpuMs };
}

/** Runs a command and returns the time from the last byte of its output to its end, in ms. */
export function timeTail(command) {
  const descriptors = Buffer.alloc(8);
  must(pipe2(descriptors, O_CLOEXEC), "pipe2");
  const [ours, theirs] = [descriptors.readInt32LE(0), descriptors.readInt32LE(4)];
  const pid = start(command, { output: theirs });
  closeSync(theirs);
  let last = process.hrtime.bigint();
  const bytes = Buffer.alloc(1024);
  // Not up to the end of the file: a process that is left behind may hold it open.
  if (readSync(ours, bytes) > 0) last = process.hrtime.bigint();
  const { code } = wait(pid);
  const ms = sinceMs(last);
  closeSync(ours);
  check(command, code);
  return ms;
}

/** Runs a command that has to succeed, and returns its output: for what is not timed. */
export function succeed({ argv, env = {} }) {
  const [file, ...args] = argv;
  const { status, stdout, stderr } = spawnSync(file, args, {
    env: { ...environment, ...env },
    encoding: "utf8",
  });
  if (status !== 0) throw new Missing(`${argv.join(" ")} failed (exit code ${status}):\n${stdout}${stderr}`);
  return stdout;
}

function check(command, code) {
  if (code === 0) return;
  succeed(command);
  throw new Missing(
    `${command.argv.join(" ")} failed (exit code ${code}), and did not when it was run again`,
  );
}
