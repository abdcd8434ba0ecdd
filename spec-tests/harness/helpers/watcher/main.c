/*
 * watcher REPORT KEEP MOUNTS COMMAND...: runs a command of a container runtime and watches what it brings into containers, at the
 * begin and the end of each system call of its processes until they execute a program that is not the runtime's.
 *
 * It looks at the descriptors and links of each that can be seen in a container (descriptors.c), and at the mounts of the process
 * MOUNTS (mounts.c), 0 for none. The caller hands over the descriptors 0 to 2 + KEEP. Findings go to REPORT, one line of JSON each;
 * the last line says what was looked at. The command keeps its pid and its parent, and the watcher stays until there is
 * nobody left to watch: a container that was made has to be started, or deleted.
 */
#define _GNU_SOURCE
#include "watcher.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_TASKS = 512, MAX_INHABITED = 4096, MAX_KNOWN = 512 };
enum { OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC };

struct totals totals;
FILE *report;

static struct task tasks[MAX_TASKS];
/* Pid namespaces that have somebody in them who is not the runtime: from then on all that enters is in sight. */
static ino_t inhabited[MAX_INHABITED];
static int inhabited_count;
/* The command's own path, with which those of its other parts begin. */
static char *runtime;

void fail(const char *what)
{
	fprintf(report, "{\"failed\":true");
	text("what", what);
	text("error", strerror(errno));
	fprintf(report, "}\n");
	fflush(report);
	exit(1);
}

void text(const char *name, const char *value)
{
	fprintf(report, ",\"%s\":\"", name);
	for (const unsigned char *at = (const unsigned char *)value; *at; at++) {
		if (*at < 0x20 || *at > 0x7e || *at == '"' || *at == '\\') fprintf(report, "\\u%04x", *at);
		else fputc(*at, report);
	}
	fputc('"', report);
}

const char *call_name(long number)
{
	static char unnamed[32];
#define NAME(name) case SYS_##name: return #name;
	if (number < 0) return "none yet";
	switch (number) {
	NAME(accept4) NAME(chdir) NAME(chroot) NAME(clone3) NAME(close) NAME(close_range) NAME(dup3) NAME(execve) NAME(fchdir)
	NAME(fsconfig) NAME(fsmount) NAME(fsopen) NAME(fspick) NAME(ioctl) NAME(mmap) NAME(mount) NAME(mount_setattr) NAME(move_mount)
	NAME(munmap) NAME(open_tree) NAME(openat) NAME(openat2) NAME(pivot_root) NAME(prctl) NAME(recvmsg) NAME(sendmsg) NAME(setns)
	NAME(setsid) NAME(umount2) NAME(unshare) NAME(write)
	}
	snprintf(unnamed, sizeof unnamed, "system call %ld", number);
	return unnamed;
}

/* Each once for each process: it stays there for many calls. */
void finding(const struct task *task, const char *what, const char *link, const char *why)
{
	static char known[MAX_KNOWN][512];
	static int count;
	char key[512];
	snprintf(key, sizeof key, "%d %d %d %s %s %.400s", task->pid, task->entered, task->waits, what, why, link);
	for (int i = 0; i < count; i++)
		if (strcmp(known[i], key) == 0) return;
	if (count == MAX_KNOWN) fail("too many findings");
	strcpy(known[count++], key);
	totals.findings++;
	fprintf(report, "{\"finding\":\"descriptor\",\"pid\":%d", task->pid);
	text("what", what);
	text("link", link);
	text("why", why);
	text("stage", task->waits ? "ready" : task->entered ? "in the container's root" : "in the host's root");
	text("call", call_name(task->call));
	text("moment", task->moment);
	fprintf(report, "}\n");
}

static void inhabit(ino_t namespace)
{
	for (int i = 0; i < inhabited_count; i++)
		if (inhabited[i] == namespace) return;
	if (inhabited_count == MAX_INHABITED) fail("too many pid namespaces");
	inhabited[inhabited_count++] = namespace;
}

/* A new namespace may have the number of one that is gone. */
static void forget_inhabited(ino_t namespace)
{
	for (int i = 0; i < inhabited_count; i++)
		if (inhabited[i] == namespace) inhabited[i--] = inhabited[--inhabited_count];
}

static void find_inhabited(void)
{
	ino_t own = namespace_of("self", "pid");
	DIR *directory = opendir("/proc");
	if (directory == NULL) fail("/proc");
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
		ino_t namespace = namespace_of(entry->d_name, "pid");
		if (namespace != 0 && namespace != own) inhabit(namespace);
	}
	closedir(directory);
}

static struct task *task_of(pid_t pid)
{
	struct task *unused = NULL;
	for (int i = 0; i < MAX_TASKS; i++) {
		if (tasks[i].pid == pid) return &tasks[i];
		if (tasks[i].pid == 0) unused = &tasks[i];
	}
	if (unused == NULL) fail("too many processes");
	memset(unused, 0, sizeof *unused);
	unused->pid = pid;
	unused->call = -1;
	unused->moment = "begin";
	totals.processes++;
	return unused;
}

static void read_exe(const struct task *task, char *exe)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/%d/exe", task->pid);
	ssize_t length = readlink(path, exe, PATH_SIZE - 1);
	exe[length < 0 ? 0 : length] = 0;
}

/* The stub of runts, or a copy of another runtime. */
static int is_in_memory(const struct task *task)
{
	char exe[PATH_SIZE];
	read_exe(task, exe);
	return strncmp(exe, "/memfd:", 7) == 0;
}

static int is_runtime(const struct task *task)
{
	char exe[PATH_SIZE];
	read_exe(task, exe);
	return is_in_memory(task) || strncmp(exe, runtime, strlen(runtime)) == 0;
}

/* Its pid namespace and those above it: processes there see it. */
static void find_namespaces(struct task *task)
{
	char path[32];
	ino_t own = namespace_of("self", "pid");
	memset(task->namespaces, 0, sizeof task->namespaces);
	snprintf(path, sizeof path, "/proc/%d/ns/pid", task->pid);
	int at = open(path, O_RDONLY | O_CLOEXEC);
	for (int depth = 0; at >= 0 && depth < MAX_DEPTH; depth++) {
		struct stat status;
		if (fstat(at, &status) != 0 || status.st_ino == own) break;
		task->namespaces[depth] = status.st_ino;
		int above = ioctl(at, NS_GET_PARENT);
		close(at);
		at = above;
	}
	if (at >= 0) close(at);
	task->visible = task->namespaces[0] != 0;
}

/* Init of a pid namespace that is empty but for it: NSpid of proc_pid_status(5) has its number in each. */
static int is_first(const struct task *task)
{
	char path[32], line[256], *last = NULL;
	snprintf(path, sizeof path, "/proc/%d/status", task->pid);
	FILE *file = fopen(path, "re");
	if (file == NULL) return 0;
	while (last == NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, "NSpid:", 6) == 0) last = strrchr(line, '\t');
	fclose(file);
	return last != NULL && strcmp(last, "\t1\n") == 0;
}

static void classify(struct task *task)
{
	int was_visible = task->visible;
	find_namespaces(task);
	if (task->visible && !was_visible && is_first(task)) forget_inhabited(task->namespaces[0]);
	task->calls = task->visible || is_in_memory(task);
}

static int is_in_sight(const struct task *task)
{
	if (!task->visible) return 0;
	if (task->waits) return 1;
	for (int depth = 0; depth < MAX_DEPTH && task->namespaces[depth] != 0; depth++)
		for (int i = 0; i < inhabited_count; i++)
			if (inhabited[i] == task->namespaces[depth]) return 1;
	return 0;
}

static void on_call(struct task *task)
{
	struct __ptrace_syscall_info info;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, task->pid, sizeof info, &info) <= 0) return;
	totals.stops++;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		task->call = (long)info.entry.nr;
		task->moment = "begin";
		/* Init of a new container has come to an end: others may enter from now on. */
		if (task->visible && task->call == SYS_accept4) {
			task->waits = 1;
			inhabit(task->namespaces[0]);
		}
	} else {
		task->moment = "end";
		if (task->calls) compare_mounts(task);
	}
	if (is_in_sight(task)) look_at(task);
}

/* Returns whether it is the runtime's no longer. */
static int on_exec(struct task *task)
{
	int was_visible = task->visible;
	task->moment = "execve";
	if (is_runtime(task)) {
		classify(task);
		return 0;
	}
	if (is_in_sight(task)) look_at(task);
	char path[64];
	struct place root;
	snprintf(path, sizeof path, "/proc/%d/root", task->pid);
	/* A hook of the host, which has the host's root directory, is no inhabitant. */
	if (was_visible && place_of(path, &root) == 0 && !is_own_root(&root)) inhabit(task->namespaces[0]);
	return 1;
}

static void on_stop(struct task *task, int status)
{
	int signal = WSTOPSIG(status), event = status >> 16, delivered = 0;
	if (signal == (SIGTRAP | 0x80)) {
		on_call(task);
	} else if (event == PTRACE_EVENT_EXEC) {
		if (on_exec(task)) {
			ptrace(PTRACE_DETACH, task->pid, 0, 0);
			task->pid = 0;
			return;
		}
	} else if (event == PTRACE_EVENT_STOP) {
		if (signal != SIGTRAP) {
			ptrace(PTRACE_LISTEN, task->pid, 0, 0);
			return;
		}
		classify(task);
		if (is_in_sight(task)) look_at(task);
	} else if (event == 0) {
		delivered = signal;
	}
	ptrace(task->calls ? PTRACE_SYSCALL : PTRACE_CONT, task->pid, 0, delivered);
}

static void watch(void)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == EINTR) continue;
		if (pid < 0) break;
		struct task *task = task_of(pid);
		if (WIFSTOPPED(status)) on_stop(task, status);
		else task->pid = 0;
	}
	fprintf(report, "{\"processes\":%ld,\"inSight\":%ld,\"stops\":%ld,\"looks\":%ld,\"descriptors\":%ld,\"mounts\":%ld,\"findings\":%ld,\"held\":{",
		totals.processes, totals.in_sight, totals.stops, totals.looks, totals.descriptors, totals.mounts, totals.findings);
	print_held();
	fprintf(report, "}}\n");
	fclose(report);
}

/* In its own process, which is nobody's child: the command has none that it does not know. */
static void watch_command(pid_t command, int ready, char **argv)
{
	if (fork() != 0) _exit(0);
	setsid();
	remember_own(atoi(argv[2]));
	runtime = realpath(argv[4], NULL);
	if (runtime == NULL) fail(argv[4]);
	find_inhabited();
	watch_mounts_of(atoi(argv[3]));
	if (ptrace(PTRACE_SEIZE, command, 0, OPTIONS) != 0) fail("PTRACE_SEIZE");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++) dup2(null, fd);
	write(ready, "", 1);
	close(ready);
	watch();
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc < 5) return 2;
	report = fopen(argv[1], "ae");
	if (report == NULL) return 2;
	pid_t command = getpid();
	int ready[2];
	if (pipe2(ready, O_CLOEXEC) != 0) fail("pipe");
	pid_t child = fork();
	if (child == 0) watch_command(command, ready[1], argv);
	waitpid(child, NULL, 0);
	close(ready[1]);
	char byte;
	if (read(ready[0], &byte, 1) != 1) return 2;
	execv(argv[4], argv + 4);
	return 127;
}
