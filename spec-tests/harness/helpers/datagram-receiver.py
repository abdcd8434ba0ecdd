"""Receives datagrams on an AF_UNIX socket, as journald and syslog daemons do.

usage: datagram-receiver.py SOCKET [full]

With "full", its queue is full, and it receives nothing.

Line one of stdout is "listening". Each further line is JSON about a datagram: {"text": ..., "memory": BOOLEAN, "seals": N}. `memory` says
whether the text came in a memory file by SCM_RIGHTS; `seals` are those of that file.
"""

import fcntl
import json
import os
import signal
import socket
import sys

F_GET_SEALS = 1034


def fill(path):
    """Sends until there is no room. Each datagram has a sender of its own, whose buffer is empty: the receiver's queue is what is full."""
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(b"x", path)
            except BlockingIOError:
                return


def main():
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(sys.argv[1])
    os.chmod(sys.argv[1], 0o777)
    if sys.argv[2:] == ["full"]:
        fill(sys.argv[1])
    print("listening", flush=True)
    if sys.argv[2:] == ["full"]:
        signal.pause()
    while True:
        data, fds, _, _ = socket.recv_fds(receiver, 1 << 20, 4)
        seals = None
        if fds:
            seals = fcntl.fcntl(fds[0], F_GET_SEALS)
            data = os.pread(fds[0], os.fstat(fds[0]).st_size, 0)
        for fd in fds:
            os.close(fd)
        print(json.dumps({"text": data.decode(), "memory": bool(fds), "seals": seals}), flush=True)


main()
