"""Plays the part of conmon for a terminal: receives the pty master over a console socket, and copies.

usage: console-receiver.py SOCKET OUTPUT

Line one of stdout is "listening", line two is JSON about what came: {"name": ..., "fds": N, "tty": bool, "rows": N, "cols": N}.
What the terminal prints goes to the file OUTPUT, what arrives on stdin goes to the terminal.
"""

import fcntl
import json
import os
import select
import socket
import struct
import sys
import termios


def copy(master, output):
    """Copies both ways until the last slave is closed."""
    sources = [master, 0]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if 0 in ready:
            data = os.read(0, 4096)
            if data:
                os.write(master, data)
            else:
                sources.remove(0)
        if master in ready:
            try:
                data = os.read(master, 4096)
            except OSError:  # EIO: no slave is open any more
                return
            if not data:
                return
            os.write(output, data)


def main():
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(sys.argv[1])
    listener.listen(1)
    print("listening", flush=True)
    connection, _ = listener.accept()
    data, fds, _, _ = socket.recv_fds(connection, 4096, 16)
    if not fds:  # the runtime has given up
        return
    rows, cols = struct.unpack("HHHH", fcntl.ioctl(fds[0], termios.TIOCGWINSZ, b"\0" * 8))[:2]
    report = {"name": data.decode(), "fds": len(fds), "tty": os.isatty(fds[0]), "rows": rows, "cols": cols}
    print(json.dumps(report), flush=True)
    connection.close()
    output = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    copy(fds[0], output)


main()
