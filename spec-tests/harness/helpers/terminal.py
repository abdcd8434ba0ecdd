"""What the helpers that run a command on a terminal share."""

import fcntl
import os
import struct
import sys
import termios


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def copy_output(master, answer):
    """Copies what is printed on the terminal until nobody has it open any more. `answer` is called with each piece."""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:  # EIO: no slave is open any more
            return
        if not data:
            return
        os.write(1, data)
        answer(data)


def exit_as(code):
    """Exits with the code of a command, as a shell does. A negative one is the signal that has ended the command."""
    sys.exit(code if code >= 0 else 128 - code)
