"""Both ends of a TCP connection over the loopback interface: numbers go in at one, and what comes out at the other is written to a file.

usage: tcp-counter.py FILE
"""

import socket
import sys
import time

listener = socket.create_server(("127.0.0.1", 7000))
client = socket.create_connection(("127.0.0.1", 7000))
server, _ = listener.accept()
output = open(sys.argv[1], "w", buffering=1)
number = 0
while True:
    number += 1
    client.sendall(f"line {number}\n".encode())
    output.write(server.recv(4096).decode())
    time.sleep(0.02)
