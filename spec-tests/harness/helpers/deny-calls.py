"""Runs a command below a seccomp filter that refuses system calls of x86-64: deny-calls.py ERRNO NUMBER... -- COMMAND..."""

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x50000


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("rows", ctypes.c_void_p)]


split = sys.argv.index("--")
errno, *denied = map(int, sys.argv[1:split])
rows = [(LOAD, 0, 0, 0)]
rows += [(JUMP_IF_EQUAL, len(denied) - index, 0, number) for index, number in enumerate(denied)]
rows += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO | errno)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
program = Program(len(rows), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
    raise OSError(ctypes.get_errno(), "prctl")
os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
