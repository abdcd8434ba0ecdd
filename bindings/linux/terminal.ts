import {
  BRKINT,
  CS8,
  CSIZE,
  ECHO,
  ECHONL,
  ICANON,
  ICRNL,
  IEXTEN,
  IGNBRK,
  IGNCR,
  INLCR,
  ISIG,
  ISTRIP,
  IXON,
  ONLCR,
  PARENB,
  PARMRK,
  TCGETS,
  TCSETS,
  TIOCGWINSZ,
  TIOCSWINSZ,
  VMIN,
  VTIME,
} from "../abi/ioctl.ts";
import { termios as layout } from "../abi/layouts.ts";
import { syscall, trySyscall } from "../ffi/syscall.ts";

/** `struct termios` of the kernel: four words of flags, the line discipline, and 19 control characters. */
export type Termios = Uint8Array;

/** ioctl(fd, TCGETS, struct termios *). Returns undefined if the descriptor is not a terminal. ioctl_tty(2) */
export function terminalSettings(fd: number): Termios | undefined {
  const termios = new Uint8Array(layout.size);
  return trySyscall("ioctl", fd, TCGETS, termios) < 0 ? undefined : termios;
}

/** ioctl(fd, TCSETS, const struct termios *). ioctl_tty(2) */
export function setTerminalSettings(fd: number, termios: Termios): void {
  syscall("ioctl", [fd, TCSETS, termios], ["TCSETS"]);
}

/**
 * The settings of a terminal in raw mode, as cfmakeraw of termios(3) makes them, except that output processing stays: it translates the
 * container's newlines for this terminal.
 */
export function rawSettings(settings: Termios): Termios {
  const raw = settings.slice();
  const view = new DataView(raw.buffer);
  const clear = (offset: number, flags: number) =>
    view.setUint32(offset, view.getUint32(offset, true) & ~flags, true);
  clear(layout.c_iflag, IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  clear(layout.c_cflag, CSIZE | PARENB);
  view.setUint32(layout.c_cflag, view.getUint32(layout.c_cflag, true) | CS8, true);
  clear(layout.c_lflag, ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  raw[layout.c_cc + VMIN] = 1;
  raw[layout.c_cc + VTIME] = 0;
  return raw;
}

/** The settings without ONLCR, for output that another terminal prints later and adds carriage returns to. */
export function withoutCarriageReturns(settings: Termios): Termios {
  const changed = settings.slice();
  const view = new DataView(changed.buffer);
  view.setUint32(layout.c_oflag, view.getUint32(layout.c_oflag, true) & ~ONLCR, true);
  return changed;
}

/** Copies the size of one terminal to another. TIOCGWINSZ, TIOCSWINSZ: ioctl_tty(2) */
export function copyWindowSize(from: number, to: number): void {
  const size = new Uint8Array(8);
  if (trySyscall("ioctl", from, TIOCGWINSZ, size) >= 0)
    syscall("ioctl", [to, TIOCSWINSZ, size], ["TIOCSWINSZ"]);
}

/** Size of a terminal in characters; undefined if the descriptor is not a terminal. */
export function windowSize(fd: number): { readonly height: number; readonly width: number } | undefined {
  const size = new Uint16Array(4);
  if (trySyscall("ioctl", fd, TIOCGWINSZ, new Uint8Array(size.buffer)) < 0) return undefined;
  const [height = 0, width = 0] = size;
  return { height, width };
}

/** The first of the standard streams that is a terminal: the caller may have redirected the others. */
export function ownTerminal(): number | undefined {
  return [0, 1, 2].find((fd) => windowSize(fd) !== undefined);
}
