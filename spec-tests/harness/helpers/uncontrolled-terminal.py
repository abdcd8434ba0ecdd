"""Runs a command as buildkit does, on a terminal that is not the controlling one of its process group; its exit code is the command's.

usage: uncontrolled-terminal.py STREAMS COMMAND...

STREAMS has a digit for each standard stream that is the terminal; the others are /dev/null. The terminal has 30 rows and 90 columns. Once
"resize now" was printed, it gets 40 rows and 120 columns, and the command a SIGWINCH, which the kernel does not send here.
"""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    master, slave = os.openpty()
    resize(master, 30, 90)
    streams = [slave if str(fd) in sys.argv[1] else subprocess.DEVNULL for fd in range(3)]
    stdin, stdout, stderr = streams
    group = {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}
    command = subprocess.Popen(sys.argv[2:], stdin=stdin, stdout=stdout, stderr=stderr, **group)
    os.close(slave)
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:  # EIO: no slave is open any more
            break
        os.write(1, data)
        if b"resize now" in data:
            resize(master, 40, 120)
            os.kill(command.pid, signal.SIGWINCH)
    code = command.wait()
    sys.exit(code if code >= 0 else 128 - code)


main()
