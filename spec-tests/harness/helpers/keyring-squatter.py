"""Makes keyrings that everybody may do everything with, as a user without privileges, and tells how many keys are in them.

usage: keyring-squatter.py UID NAME...

Prints a line when they are there, and the number of keys after each line that it reads.
"""

import ctypes
import os
import platform
import sys

ADD_KEY, KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
PROCESS_KEYRING = -2
SETPERM, READ = 5, 11
ALL = 0x3F3F3F3F

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *args):
    result = libc.syscall(number, *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def make(name):
    keyring = call(ADD_KEY, b"keyring", name.encode(), None, ctypes.c_size_t(0), PROCESS_KEYRING)
    call(KEYCTL, SETPERM, keyring, ctypes.c_uint(ALL))
    return keyring


def main():
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
    keyrings = [make(name) for name in sys.argv[2:]]
    print("made", flush=True)
    for _ in sys.stdin:
        bytes_used = sum(call(KEYCTL, READ, keyring, None, ctypes.c_size_t(0)) for keyring in keyrings)
        print(bytes_used // 4, flush=True)


main()
