"""Waits for a pidfd on an AF_UNIX socket, as a supervisor does that gives --pidfd-socket.

usage: pidfd-receiver.py SOCKET

Line one of stdout is "listening", line two is JSON about what came: {"message": ..., "fds": N, "pid": N}. The pid is that which the
kernel says the descriptor stands for. A number on stdin is sent to the process as a signal, by the descriptor.
"""

import json
import os
import re
import signal
import socket
import sys


def main():
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(sys.argv[1])
    listener.listen(1)
    print("listening", flush=True)
    connection, _ = listener.accept()
    message, fds, _, _ = socket.recv_fds(connection, 4096, 16)
    with open(f"/proc/self/fdinfo/{fds[0]}") as info:
        pid = re.search(r"^Pid:\s*(-?\d+)", info.read(), re.M)
    report = {"message": message.decode(), "fds": len(fds), "pid": int(pid.group(1)) if pid else None}
    print(json.dumps(report), flush=True)
    for line in sys.stdin:
        signal.pidfd_send_signal(fds[0], int(line))
        print("sent", flush=True)


main()
