"""Runs a command as buildkit does, on a terminal that is not the controlling one of its process group; its exit code is the command's.

usage: uncontrolled-terminal.py STREAMS COMMAND...

STREAMS has a digit for each standard stream that is the terminal; the others are /dev/null. The terminal has 30 rows and 90 columns. Once
"resize now" was printed, it gets 40 rows and 120 columns, and the command a SIGWINCH, which the kernel does not send here.
"""

import os
import signal
import subprocess
import sys

sys.dont_write_bytecode = True  # of terminal.py, into the repository

from terminal import copy_output, exit_as, resize


def main():
    master, slave = os.openpty()
    resize(master, 30, 90)
    stdin, stdout, stderr = [slave if str(fd) in sys.argv[1] else subprocess.DEVNULL for fd in range(3)]
    command = subprocess.Popen(
        sys.argv[2:], stdin=stdin, stdout=stdout, stderr=stderr, preexec_fn=os.setpgrp
    )
    os.close(slave)

    def answer(data):
        if b"resize now" in data:
            resize(master, 40, 120)
            os.kill(command.pid, signal.SIGWINCH)

    copy_output(master, answer)
    exit_as(command.wait())


main()
