"""A parent that does not reap, as a container's pid 1 may be: orphans below it stay zombies.

usage: lazy-parent.py

Each line of stdin is a command, as a JSON array of words. It runs the command, waits only for that process, and prints its exit code.
"""

import ctypes
import json
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36

ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
for line in sys.stdin:
    null = subprocess.DEVNULL
    ended = subprocess.run(json.loads(line), check=False, stdin=null, stdout=null, stderr=null)
    print(ended.returncode, flush=True)
