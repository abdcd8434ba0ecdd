"""Runs a command on its own terminal, of 30 rows and 90 columns, and copies what it prints; its exit code is the command's.

usage: on-terminal.py COMMAND...

Once "resize now" was printed the terminal gets 40 rows and 120 columns, and each time again; after "type now", "typed words" are typed.
"""

import os
import pty
import sys

sys.dont_write_bytecode = True  # of terminal.py, into the repository

from terminal import copy_output, exit_as, resize


def main():
    pid, master = pty.fork()
    if pid == 0:
        resize(0, 30, 90)
        os.execvp(sys.argv[1], sys.argv[1:])
    resized = False

    def answer(data):
        nonlocal resized
        if b"resize now" in data:
            if resized:  # the SIGWINCH before was too early for the command, and none comes without a change
                resize(master, 41, 120)
            resize(master, 40, 120)
            resized = True
        if b"type now" in data:
            os.write(master, b"typed words\n")

    copy_output(master, answer)
    exit_as(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


main()
