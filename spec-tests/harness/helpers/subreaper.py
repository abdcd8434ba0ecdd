"""Plays the part of conmon and containerd's shim: a subreaper whose orphaned grandchild is the container.

usage: subreaper.py [--keep-zombie] PIDFILE RUNTIME_CREATE... -- RUNTIME_START...

Runs both commands, waits for the process named by PIDFILE, and prints JSON: {"parent": is it our child, "exit": N or "signal": N},
and "start": N if the second command failed with code N.
With --keep-zombie it prints once the process has ended but leaves it unreaped until stdin is closed.
"""

import ctypes
import json
import os
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def parent_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])


def main():
    arguments = sys.argv[1:]
    keep = arguments[0] == "--keep-zombie"
    if keep:
        arguments = arguments[1:]
    pid_file, commands = arguments[0], arguments[1:]
    split = commands.index("--")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run(commands[:split], check=True, **quiet)
    with open(pid_file, encoding="utf-8") as file:
        pid = int(file.read())
    report = {"parent": parent_of(pid) == os.getpid()}
    started = subprocess.run(commands[split + 1 :], check=False, **quiet).returncode
    if started != 0:
        report["start"] = started
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if keep:
        print(json.dumps(report), flush=True)
        sys.stdin.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    report["exit" if code >= 0 else "signal"] = abs(code)
    print(json.dumps(report), flush=True)


main()
