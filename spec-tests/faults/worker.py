"""Runs the runtime's commands one after the other, and reports the state of the host between them.

usage: worker.py RUNTIME, as pid 1 of the surroundings (fuzz/surroundings.sh), where procfs, mounts and cgroups show nothing of other tests.
Each line of standard input is a request in JSON, each line of standard output its answer:
{"do": "run", "args": [...]} → {"code", "stdout", "stderr", "operations": the one that the fault hit, none, or all}; the code is 124 if
the command exceeds its time, and 128 plus the signal's number if a signal ends it;
{"do": "look"} → {"lines": all that a container could leave behind, "programs": number of BPF programs of the own cgroups};
{"do": "init", "id"} → {"pid", "fds": its descriptors and their targets, "programs": number of attached BPF programs};
{"do": "output", "pid"} → {"code", "text"}: waits for the end of a container's init.
"""

import array
import ctypes
import errno
import json
import os
import re
import select
import signal
import socket
import stat
import struct
import sys
import time

RUNTIME = sys.argv[1]
STATE = "/state"
REPORT = "/tmp/report"
OUTPUT = "/tmp/output"
ANSWER = "/tmp/answer"
CONSOLE = "/tmp/console.sock"
LISTENER = "/tmp/listener.sock"
SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
LIBC = ctypes.CDLL(None, use_errno=True)
ended = {}
tags = set()


class TimedOut(Exception):
    pass


def alarm(_number, _frame):
    raise TimedOut


def run(arguments, seconds):
    """A container inherits the standard output of create and run, so the other commands write to another file."""
    output_file = OUTPUT if {"create", "run"} & set(arguments) else ANSWER
    error = os.open("/tmp/stderr", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, error, 2),
    ]
    command = [RUNTIME, "--root", STATE, *arguments]
    environment = {name: os.environ[name] for name in ["PATH", "RUNTS_COLD"] if name in os.environ}
    pid = os.posix_spawn(RUNTIME, command, environment, file_actions=actions)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        code = wait(pid)
    except TimedOut:
        os.kill(pid, signal.SIGKILL)
        wait(pid)
        code = 124
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    text = os.pread(error, 1 << 16, 0).decode(errors="backslashreplace")
    os.close(error)
    report = read(REPORT)
    if report:
        os.unlink(REPORT)
    operations = [json.loads(line) for line in report.splitlines()]
    return {"code": code, "stdout": read(output_file), "stderr": text, "operations": operations}


def wait(pid):
    """Reaps every child that ends, until this one does."""
    while pid not in ended:
        reaped, status = os.waitpid(-1, 0)
        ended[reaped] = status
    code = os.waitstatus_to_exitcode(ended.pop(pid))
    return code if code >= 0 else 128 - code


def reap():
    try:
        while True:
            reaped, status = os.waitpid(-1, os.WNOHANG)
            if reaped == 0:
                return
            ended[reaped] = status
    except ChildProcessError:
        pass


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="backslashreplace")
    except OSError:
        return ""


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(bytes(attributes).ljust(128, b"\0"), 128)
    result = LIBC.syscall(SYS_BPF, command, buffer, 128)
    return result if result >= 0 else -ctypes.get_errno(), buffer.raw


def program_info(descriptor):
    """Type and tag of a program, from struct bpf_prog_info. The tag is a hash of the instructions."""
    info = ctypes.create_string_buffer(256)
    result, _ = bpf(15, struct.pack("=IIQ", descriptor, 256, ctypes.addressof(info)))
    os.close(descriptor)
    return (struct.unpack_from("=I", info)[0], info.raw[8:16].hex()) if result >= 0 else (0, "")


def collect_tags():
    """Adds the tags of the programs that are attached to cgroups here, and returns these. A device rule in the config makes these
    programs unlike those of other tests."""
    attached = []
    for folder, _, _ in os.walk("/sys/fs/cgroup"):
        cgroup = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        ids = (ctypes.c_uint32 * 16)()
        result, answer = bpf(16, struct.pack("=IIIIQI", cgroup, 6, 0, 0, ctypes.addressof(ids), 16))
        os.close(cgroup)
        count = struct.unpack_from("=I", answer, 24)[0] if result >= 0 else 0
        for number in ids[:count]:
            descriptor, _ = bpf(13, struct.pack("=I", number))
            if descriptor >= 0:
                attached.append(program_info(descriptor)[1])
    tags.update(attached)
    return attached


def programs():
    """Number of programs with these tags on the whole host, attached or not."""
    count = 0
    number = 0
    while tags:
        result, answer = bpf(11, struct.pack("=II", number, 0))
        if result < 0:
            break
        number = struct.unpack_from("=I", answer, 4)[0]
        descriptor, _ = bpf(13, struct.pack("=I", number))
        if descriptor >= 0 and program_info(descriptor)[1] in tags:
            count += 1
    return count


def is_zombie(name):
    """Whether a process has ended without being reaped by its parent in the container."""
    fields = read(f"/proc/{name}/stat").rpartition(")")[2].split()
    return len(fields) > 1 and fields[0] == "Z" and fields[1] != "1"


def devices():
    """The devices of the container: its nodes, what its record says of added ones, and the device programs of its cgroup."""
    record = json.loads(read(f"{STATE}/box/state.json") or "{}")
    folder = f"/proc/{record.get('pid', 0)}/root/dev"
    names = os.listdir(folder) if record.get("pid", 0) and os.path.exists(folder) else []
    nodes = [(name, os.lstat(os.path.join(folder, name))) for name in names]
    found = [f"node {name} {node.st_mode:o} {node.st_uid} {node.st_rdev:x}" for name, node in nodes]
    return found + [f"added {device['path']}" for device in record.get("devices", [])]


def look():
    reap()
    attached = collect_tags()
    found = [f"device program {tag}" for tag in attached] + devices()
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1" and not is_zombie(name):
            found.append(f"process {name} {read(f'/proc/{name}/comm').strip()}")
    for name in os.listdir("/proc/1/fd"):
        found.append(f"descriptor {name} {descriptor_of(f'/proc/1/fd/{name}')}")
    found += [f"mount {line}" for line in read("/proc/self/mountinfo").splitlines()]
    found += [f"cgroup {folder}" for folder, _, _ in os.walk("/sys/fs/cgroup")]
    found += [f"namespace {name} {os.readlink(f'/proc/1/ns/{name}')}" for name in os.listdir("/proc/1/ns")]
    found += [f"events {line}" for line in read("/sys/fs/cgroup/box/cgroup.events").splitlines()]
    found += [f"interface {line.split(':')[0].strip()}" for line in read("/proc/net/dev").splitlines()[2:]]
    for folder in ["/", STATE, "/tmp", "/run", "/runts", "/dev", "/dev/shm"]:
        found += [f"file {os.path.join(folder, name)}" for name in os.listdir(folder)]
    return {"lines": sorted(found), "programs": programs()}


def descriptor_of(path):
    try:
        return re.sub(r"\[\d+\]|/proc/\d+/fd|/[0-9a-f]{64}", "", os.readlink(path))
    except OSError:
        return ""


def init(identifier):
    pid = json.loads(read(f"{STATE}/{identifier}/state.json") or "{}").get("pid", 0)
    folder = f"/proc/{pid}/fd"
    names = os.listdir(folder) if pid and os.path.exists(folder) else []
    return {"pid": pid, "programs": len(collect_tags()), "fds": sorted(f"{name} {descriptor_of(f'{folder}/{name}')}" for name in names)}


class Receiver:
    """Receives the descriptors that the runtime sends to a console socket or to a seccomp listener."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(4)
        self.listener.setblocking(False)

    def drop(self):
        descriptor = self.last()
        if descriptor >= 0:
            os.close(descriptor)

    def last(self):
        """The descriptor of the last connection that brought one; earlier ones are closed."""
        last = -1
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return last
            fds = array.array("i")
            try:
                _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(64), socket.MSG_DONTWAIT)
                for _, _, payload in ancillary:
                    fds.frombytes(payload)
            except OSError:
                pass  # The runtime gave up before it sent one.
            connection.close()
            for descriptor in fds:
                if last >= 0:
                    os.close(last)
                last = descriptor


def output(console, pid):
    """Exit code and output of a container, from its terminal or from the file that it inherited from create."""
    master = console.last()
    text = b""
    deadline = time.monotonic() + 60
    while master >= 0 and time.monotonic() < deadline:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            data = os.read(master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            break
        if not data:
            break
        text += data
    if master >= 0:
        os.close(master)
    signal.setitimer(signal.ITIMER_REAL, 60)
    code = 124
    try:
        code = wait(pid) if pid else None
    except (TimedOut, ChildProcessError):
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"code": code, "text": (text.decode(errors="backslashreplace") or read(OUTPUT)).replace("\r\n", "\n")}


def main():
    signal.signal(signal.SIGALRM, alarm)
    console = Receiver(CONSOLE)
    notified = Receiver(LISTENER)
    os.system("cp -a /rootfs /rootfs-mapped; chown -hR 100000:100000 /rootfs-mapped; mkdir /tmp/shared; echo text > /tmp/shared/file")
    # For the container in a user namespace, whose root can't enter this folder: the runtime has to open the source.
    os.system("mkdir -p /tmp/closed/data; echo text > /tmp/closed/data/file; chown 1000 /tmp/closed; chmod 700 /tmp/closed")
    # For `devices add`: no bundle allows it.
    os.mknod("/tmp/device", stat.S_IFCHR | 0o666, os.makedev(4000, 7))
    # Images are written beside the runtime.
    os.system("mount -o remount,bind,rw /runts")
    for path in [OUTPUT, ANSWER, "/tmp/stderr"]:
        open(path, "w").close()
    for line in sys.stdin:
        request = json.loads(line)
        kind = request["do"]
        if kind == "run":
            answer = run(request["args"], request.get("seconds", 60))
        elif kind == "look":
            console.drop()
            notified.drop()
            answer = look()
        elif kind == "init":
            answer = init(request["id"])
        else:
            answer = output(console, request["pid"])
        print(json.dumps(answer), flush=True)


main()
