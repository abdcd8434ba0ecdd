"""A service manager's end of sd_notify(3): prints each datagram as a line of JSON.

usage: notify-receiver.py ADDRESS

ADDRESS is a path, or an abstract address with a leading @. Descriptors that come along are closed, as systemd does for BARRIER=1.
"""

import array
import json
import os
import socket
import sys

address = sys.argv[1]
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
server.bind("\0" + address[1:] if address.startswith("@") else address)
print("{}", flush=True)
while True:
    text, ancillary, _, _ = server.recvmsg(4096, 4096)
    pid, fds = 0, []
    for level, kind, content in ancillary:
        if kind == socket.SCM_CREDENTIALS:
            pid = array.array("i", content)[0]
        if kind == socket.SCM_RIGHTS:
            fds += array.array("i", content)
    for fd in fds:
        os.close(fd)
    print(json.dumps({"text": text.decode(), "pid": pid, "fds": len(fds)}), flush=True)
