"""Makes a container of each config in /work/configs, and reports what it leaves behind.

usage: worker.py RUNTIME, as pid 1 of the surroundings (surroundings.sh). Prints one line of JSON for each config, in the order of names:
{"name", "code", "stderr", "deleted": exit code of delete or null, "left": [changes of the host]}.
The code is 124 if the command exceeds its time, and 128 plus the signal's number if a signal ends it.
"""

import json
import os
import shutil
import signal
import sys
import time

RUNTIME = sys.argv[1]
CONFIGS = "/work/configs"
BUNDLE = "/tmp/bundle"
STATE = "/state"
OUTPUT = "/tmp/output"
LIMIT_SECONDS = 60


class TimedOut(Exception):
    pass


def alarm(_number, _frame):
    raise TimedOut


def run(*arguments):
    """Runs a command of the runtime. Returns its exit code and standard error."""
    error = os.open("/tmp/stderr", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, error, 2),
    ]
    environment = {"PATH": os.environ["PATH"], "TMPDIR": "/tmp/runtime"}
    command = [RUNTIME, "--root", STATE, *arguments]
    pid = os.posix_spawn(RUNTIME, command, environment, file_actions=actions)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
    code = 124
    try:
        code = wait(pid)
    except TimedOut:
        os.kill(pid, signal.SIGKILL)
        wait(pid)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    text = os.pread(error, 1 << 16, 0).decode(errors="backslashreplace")
    os.close(error)
    return code, text


def wait(pid):
    """Reaps every child that ends, until this one does."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="backslashreplace")
    except OSError:
        return ""


def snapshot():
    """All that a container could leave on its host, as a set of lines."""
    reap()
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            found.add(f"process {name} {read(f'/proc/{name}/comm').strip()}")
    for line in read("/proc/self/mountinfo").splitlines():
        found.add(f"mount {line}")
    for folder, _, _ in os.walk("/sys/fs/cgroup"):
        found.add(f"cgroup {folder}")
    for folder in ["/", "/state", "/tmp", "/tmp/runtime", "/run", "/dev", "/dev/shm", "/tmp/bundle"]:
        for name in os.listdir(folder):
            # runts keeps compiled seccomp filters for the next container with the same profile.
            if os.path.join(folder, name) != f"{STATE}/@seccomp":
                found.add(f"file {os.path.join(folder, name)}")
    found.add(f"names {os.uname().nodename} {read('/proc/sys/kernel/domainname').strip()}")
    found.add(f"root mode {oct(os.stat('/').st_mode)}")
    return found


def parents_of_cgroup():
    """Parents of a container's cgroup. Runts makes missing ones, and delete keeps them, as other runtimes do."""
    try:
        path = json.loads(read(f"{BUNDLE}/config.json"))["linux"]["cgroupsPath"]
        steps = os.path.normpath(f"/{path}").strip("/").split("/")
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()
    return {"/".join(["cgroup /sys/fs/cgroup", *steps[:length]]) for length in range(1, len(steps))}


def made_in_root(entries):
    """Mount points that stay in the container's root file system, which a config may place outside of /rootfs."""
    try:
        path = json.loads(read(f"{BUNDLE}/config.json"))["root"]["path"]
        root = os.path.realpath(os.path.join(BUNDLE, path))
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        return set()
    inside = f"file {root.rstrip('/')}/"
    return {entry for entry in entries if entry.startswith(inside) and not entry.startswith("file /state/")}


def changes(before):
    """Changes since `before`. Waits for the kernel, which takes processes apart with a delay."""
    parents = parents_of_cgroup()
    deadline = time.monotonic() + 20
    while True:
        now = snapshot()
        extra = now - before - parents
        differing = sorted(extra - made_in_root(extra)) + [f"missing: {entry}" for entry in sorted(before - now)]
        if not differing or time.monotonic() > deadline:
            return differing
        time.sleep(0.025)


def sweep(before):
    """Removes all that a config has left, so that the next one is not blamed for it."""
    for _ in range(3):
        extra = snapshot() - before
        if not extra:
            return
        for entry in sorted(extra, reverse=True):
            kind, _, rest = entry.partition(" ")
            try:
                if kind == "process":
                    os.kill(int(rest.split()[0]), signal.SIGKILL)
                elif kind == "mount":
                    os.system(f"umount -l '{rest.split()[4]}' 2>/dev/null")
                elif kind == "cgroup":
                    os.rmdir(rest)
                elif kind == "file" and os.path.isdir(rest):
                    shutil.rmtree(rest, ignore_errors=True)
                elif kind == "file":
                    os.unlink(rest)
                elif kind == "names":
                    os.system("hostname fuzz; echo '(none)' > /proc/sys/kernel/domainname")
            except OSError:
                pass
        time.sleep(0.05)


def main():
    signal.signal(signal.SIGALRM, alarm)
    for folder in [BUNDLE, "/tmp/runtime"]:
        os.mkdir(folder)
    open(OUTPUT, "w").close()
    open("/tmp/stderr", "w").close()
    open(f"{BUNDLE}/config.json", "w").close()
    before = snapshot()
    for number, name in enumerate(sorted(os.listdir(CONFIGS))):
        shutil.copyfile(f"{CONFIGS}/{name}", f"{BUNDLE}/config.json")
        identifier = f"fuzz{number}"
        code, text = run("run", "--detach", "--bundle", BUNDLE, identifier)
        deleted = None
        if code == 0 or os.path.exists(f"{STATE}/{identifier}"):
            deleted, more = run("delete", "--force", identifier)
            text += more
        left = changes(before)
        sweep(before)
        record = {"name": name, "code": code, "stderr": text, "deleted": deleted, "left": left}
        print(json.dumps(record), flush=True)


main()
