"""Runs a command from a process that nothing about is usual: odd-caller.py DIRECTORY COMMAND..."""

import ctypes
import os
import resource
import signal
import sys

PR_SET_TIMERSLACK, ADDR_NO_RANDOMIZE, SCHED_BATCH = 29, 0x0040000, 3

libc = ctypes.CDLL(None)
os.chdir(sys.argv[1])
for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGRTMIN + 3):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2, signal.SIGALRM])
os.umask(0o137)
os.nice(3)
os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
os.sched_setscheduler(0, SCHED_BATCH, os.sched_param(0))
for limit, pair in {
    resource.RLIMIT_CORE: (0, 0),
    resource.RLIMIT_FSIZE: (1 << 40, 1 << 41),
    resource.RLIMIT_NOFILE: (500, 2000),
    resource.RLIMIT_STACK: (1 << 22, 1 << 24),
}.items():
    resource.setrlimit(limit, pair)
libc.prctl(PR_SET_TIMERSLACK, 123456)
libc.personality(ADDR_NO_RANDOMIZE)
for name, value in {"oom_score_adj": "321", "coredump_filter": "0x7"}.items():
    with open(f"/proc/self/{name}", "w") as file:
        file.write(value)
os.execvp(sys.argv[2], sys.argv[2:])
