"""Sends messages of sd_notify(3) without end, from several threads, until nobody receives any more.

usage: notify-flood.py ADDRESS SENDERS
"""

import socket
import sys
import threading

address, senders = sys.argv[1], int(sys.argv[2])


def flood() -> None:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.connect(address)
    try:
        while True:
            client.send(b"STATUS=flood")
    except OSError:
        pass


threads = [threading.Thread(target=flood) for _ in range(senders)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
