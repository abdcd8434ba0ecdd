// asm-generic/signal.h (asm/signal.h of x86-64 has the same numbers), Linux 6.12.

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGILL = 4;
export const SIGTRAP = 5;
export const SIGABRT = 6;
export const SIGBUS = 7;
export const SIGFPE = 8;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGSEGV = 11;
export const SIGUSR2 = 12;
export const SIGPIPE = 13;
export const SIGALRM = 14;
export const SIGTERM = 15;
export const SIGSTKFLT = 16;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTSTP = 20;
export const SIGTTIN = 21;
export const SIGTTOU = 22;
export const SIGURG = 23;
export const SIGXCPU = 24;
export const SIGXFSZ = 25;
export const SIGVTALRM = 26;
export const SIGPROF = 27;
export const SIGWINCH = 28;
export const SIGIO = 29;
export const SIGPWR = 30;
export const SIGSYS = 31;

/** First real-time signal of user space: glibc and musl keep the kernel's 32 and 33 (and musl 34) to themselves; signal(7). */
export const SIGRTMIN = 34;
export const SIGRTMAX = 64;

// rt_sigprocmask(2): how; rt_sigaction(2): handlers
export const SIG_BLOCK = 0;
export const SIG_UNBLOCK = 1;
export const SIG_SETMASK = 2;
export const SIG_DFL = 0;
export const SIG_IGN = 1;

// waitid(2), wait4(2)
export const P_ALL = 0;
export const P_PID = 1;
export const P_PIDFD = 3;
export const WNOHANG = 0x1;
export const WEXITED = 0x4;
export const WNOWAIT = 0x1000000;
export const __WALL = 0x40000000;

/** Names without SIG; the index of a name is its number. */
const names: readonly string[] = [
  "",
  "HUP",
  "INT",
  "QUIT",
  "ILL",
  "TRAP",
  "ABRT",
  "BUS",
  "FPE",
  "KILL",
  "USR1",
  "SEGV",
  "USR2",
  "PIPE",
  "ALRM",
  "TERM",
  "STKFLT",
  "CHLD",
  "CONT",
  "STOP",
  "TSTP",
  "TTIN",
  "TTOU",
  "URG",
  "XCPU",
  "XFSZ",
  "VTALRM",
  "PROF",
  "WINCH",
  "IO",
  "PWR",
  "SYS",
];

/**
 * Number of a signal as a user writes it: `9`, `KILL`, `SIGKILL`, `RTMIN+3`, `RTMAX-1`, in upper or lower case. undefined for anything else,
 * including 0, which kill(2) takes as a test whether the process exists.
 */
export function signalNumber(text: string): number | undefined {
  if (/^[0-9]+$/.test(text)) return inRange(Number(text), 1);
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realTime = /^RT(MIN|MAX)(?:([+-])([0-9]{1,2}))?$/.exec(name);
  if (realTime !== null) {
    const [, end, sign, distance = "0"] = realTime;
    const offset = sign === "-" ? -Number(distance) : Number(distance);
    return inRange((end === "MIN" ? SIGRTMIN : SIGRTMAX) + offset, SIGRTMIN);
  }
  const aliases: Readonly<Record<string, number>> = { IOT: SIGABRT, CLD: SIGCHLD, POLL: SIGIO };
  const number = names.indexOf(name);
  return number > 0 ? number : aliases[name];
}

function inRange(number: number, least: number): number | undefined {
  return number >= least && number <= SIGRTMAX ? number : undefined;
}

/** Name of a signal with SIG, `SIGRTMIN+3` for a real-time one; for a number without a name, the number. */
export function signalName(number: number): string {
  if (number >= SIGRTMIN && number <= SIGRTMAX) {
    return number === SIGRTMIN ? "SIGRTMIN" : `SIGRTMIN+${number - SIGRTMIN}`;
  }
  const name = names[number];
  return name ? `SIG${name}` : String(number);
}
