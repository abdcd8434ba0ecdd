"""Plays the part of a seccomp agent: receives listeners over a socket, and answers the system calls of mkdir(2) with an errno.

usage: seccomp-agent.py SOCKET

Line one of stdout is "listening". For each connection a line of JSON follows: {"message": ..., "fds": N, "first": ..., "rest": ...,
"closed": bool}: the text that came, the number of descriptors of the first message, how many bytes came with them and after them, and
whether the connection ended behind them. Then a line for each system call that is answered: {"call": NUMBER, "pid": ..., "answer": ...}.
mkdir and mkdirat fail with ENOTSUP (95), unless their path ends in "allowed"; then, as all other calls, they are continued.
"""

import ctypes
import fcntl
import json
import os
import platform
import select
import socket
import struct
import sys
import threading

SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101
SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1
ENOTSUP = 95
# Number of the call, and of the argument that is the path.
MKDIR = {83: 0, 258: 1} if platform.machine() == "x86_64" else {34: 1}


def say(record):
    print(json.dumps(record), flush=True)


def receive(connection):
    """Reads one connection, normally to its end; returns the listener, or None if the other side has given up."""
    first, fds, _, _ = socket.recv_fds(connection, 1 << 20, 16)
    record = threading.Thread(target=follow, args=(connection, first, fds), daemon=True)
    record.start()
    # A runtime that leaves the connection open must not keep the calls of its containers waiting.
    record.join(1)
    return fds[0] if fds else None


def follow(connection, first, fds):
    connection.settimeout(20)
    rest = b""
    closed = False
    try:
        while True:
            more = connection.recv(1 << 16)
            if not more:
                closed = True
                break
            rest += more
    except TimeoutError:
        pass
    connection.close()
    say(
        {
            "message": (first + rest).decode(),
            "fds": len(fds),
            "first": len(first),
            "rest": len(rest),
            "closed": closed,
        }
    )


def path_of(pid, address):
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, 256, address).split(b"\0")[0].decode()
    finally:
        os.close(memory)


def answer(listener):
    """Answers one call. Returns whether there may be more."""
    request = bytearray(80)
    try:
        fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, request)
    except OSError:  # the process ended before
        return True
    number, pid, _flags, call, _arch, _ip, *arguments = struct.unpack("QIIiIQ6Q", request)
    error, flags = 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE
    if call in MKDIR and not path_of(pid, arguments[MKDIR[call]]).endswith("allowed"):
        error, flags = -ENOTSUP, 0
    say({"call": call, "pid": pid, "answer": -error})
    try:
        fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, struct.pack("QqiI", number, 0, error, flags))
    except OSError:
        pass
    return True


def main():
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(sys.argv[1])
    server.listen(8)
    say("listening")
    poll = select.poll()
    poll.register(server, select.POLLIN)
    while True:
        for fd, events in poll.poll():
            if fd == server.fileno():
                connection, _ = server.accept()
                listener = receive(connection)
                if listener is not None:
                    poll.register(listener, select.POLLIN)
            elif events & select.POLLIN:
                answer(fd)
            else:  # nobody has the filter any more
                poll.unregister(fd)
                os.close(fd)


ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
main()
