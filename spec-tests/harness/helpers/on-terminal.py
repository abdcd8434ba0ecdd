"""Runs a command on its own terminal, of 30 rows and 90 columns, and copies what it prints; its exit code is the command's.

usage: on-terminal.py COMMAND...

Once "resize now" was printed the terminal gets 40 rows and 120 columns, and each time again; after "type now", "typed words" are typed.
"""

import fcntl
import os
import pty
import struct
import sys
import termios


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    pid, master = pty.fork()
    if pid == 0:
        resize(0, 30, 90)
        os.execvp(sys.argv[1], sys.argv[1:])
    resized = False
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:  # EIO: no slave is open any more
            break
        if not data:
            break
        os.write(1, data)
        if b"resize now" in data:
            if resized:  # the SIGWINCH before was too early for the command, and none comes without a change
                resize(master, 41, 120)
            resize(master, 40, 120)
            resized = True
        if b"type now" in data:
            os.write(master, b"typed words\n")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(code if code >= 0 else 128 - code)


main()
