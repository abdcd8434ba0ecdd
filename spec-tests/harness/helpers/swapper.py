"""Swaps pairs of paths for each other, over and over, until its parent ends: renameat2(2), RENAME_EXCHANGE.

usage: swapper.py PATH OTHER [PATH OTHER]...
"""

import ctypes
import os
import sys
import time

RENAME_EXCHANGE = 2
AT_FDCWD = -100

libc = ctypes.CDLL(None, use_errno=True)
names = [os.fsencode(name) for name in sys.argv[1:]]
pairs = list(zip(names[::2], names[1::2]))
parent = os.getppid()
print("swapping", flush=True)
while os.getppid() == parent:
    # An attacker would find the moment; this one meets it now and then, with pauses that differ.
    for pause in (0, 0, 0.0001, 0, 0.001, 0.003):
        for one, other in pairs:
            libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)
        if pause:
            time.sleep(pause)
