/*
 * Judges what a process of the runtime has open while somebody in the container may look: who can trace it, reaches through
 * /proc/PID/fd, cwd, root and exe whatever is there, and takes copies of its descriptors by pidfd_getfd(2).
 */
#define _GNU_SOURCE
#include "watcher.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/magic.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_HANDED = 64, MAX_MOUNTS = 1024, FIRST_COPY = 500 };

/* The caller's own descriptors, which it hands over. */
static int handed[MAX_HANDED];
static int handed_count;

/* Why descriptors were found to be harmless, and how many. */
static struct { const char *why; long count; } held[32];

static const char *const NAMESPACES[] = { "cgroup", "ipc", "mnt", "net", "pid", "pid_for_children",
					  "time", "time_for_children", "user", "uts" };

/* What is looked at: a path below /proc of one process, and what it leads to. */
struct sight {
	const struct task *task;
	char path[64], link[PATH_SIZE];
	int fd; /* -1 for cwd, root and exe */
	struct place place;
	struct place root; /* of the process */
	const uint64_t *mounts; /* below its root directory, where that is the container's */
	int mount_count;
};

void remember_own(int keep)
{
	for (int fd = 0; fd < 3 + keep && handed_count < MAX_HANDED; fd++) {
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_COPY);
		if (copy >= 0) handed[handed_count++] = copy;
	}
}

static int is_handed(const struct sight *sight)
{
	for (int i = 0; i < handed_count; i++)
		if (syscall(SYS_kcmp, getpid(), sight->task->pid, KCMP_FILE, handed[i], sight->fd) == 0) return 1;
	return 0;
}

static const char *harmless(const char *why)
{
	for (int i = 0; i < 32; i++) {
		if (held[i].why == NULL) held[i].why = why;
		if (strcmp(held[i].why, why) != 0) continue;
		held[i].count++;
		break;
	}
	return NULL;
}

void print_held(void)
{
	for (int i = 0; i < 32 && held[i].why != NULL; i++)
		fprintf(report, "%s\"%s\":%ld", i == 0 ? "" : ",", held[i].why, held[i].count);
}

static int starts(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

/* A descriptor of the watcher that is the other process's own. */
static int copy_of(const struct sight *sight)
{
	int process = syscall(SYS_pidfd_open, sight->task->pid, 0);
	if (process < 0) return -1;
	int copy = syscall(SYS_pidfd_getfd, process, sight->fd, 0);
	close(process);
	return copy;
}

static int is_sealed(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
	if (fd >= 0) close(fd);
	return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

static const char *judge_memory(const struct sight *sight)
{
	if (sight->fd >= 0) return harmless("memory");
	/* The executable: who writes to it chooses what the process does next (CVE-2019-5736). */
	return is_sealed(sight->path) ? harmless("sealed executable") : "an executable that is not sealed";
}

/* SIOCGSKNS gives the network namespace of any socket to who may administrate it. */
static int is_of_own_network(const struct sight *sight, int copy)
{
	struct stat status;
	char process[16];
	int net = ioctl(copy, SIOCGSKNS);
	int known = net < 0 ? -1 : fstat(net, &status);
	if (net >= 0) close(net);
	snprintf(process, sizeof process, "%d", sight->task->pid);
	return known == 0 && status.st_ino == namespace_of(process, "net");
}

static const char *judge_copy_of_socket(const struct sight *sight, int copy)
{
	char process[16];
	int domain = 0;
	socklen_t length = sizeof domain;
	struct sockaddr_un address = { 0 };
	snprintf(process, sizeof process, "%d", sight->task->pid);
	getsockopt(copy, SOL_SOCKET, SO_DOMAIN, &domain, &length);
	length = sizeof address;
	getsockname(copy, (struct sockaddr *)&address, &length);
	int has_file = domain == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path) && address.sun_path[0] != 0;
	/* Either ioctl(2) takes CAP_NET_ADMIN in the user namespace that owns the socket's network. */
	if (domain == AF_UNIX && namespace_of(process, "user") != namespace_of("self", "user"))
		return harmless("unix socket, and a user namespace");
	if (!is_of_own_network(sight, copy)) return "a socket of another network namespace: SIOCGSKNS leads there";
	if (has_file) return "a unix socket with a file: SIOCUNIXFILE leads there";
	return harmless("socket of its network, without a file");
}

static const char *judge_socket(const struct sight *sight)
{
	int copy = copy_of(sight);
	if (copy < 0) return "a socket that can't be looked at";
	const char *why = judge_copy_of_socket(sight, copy);
	close(copy);
	return why;
}

static const char *judge_pidfd(const struct sight *sight)
{
	char path[64], line[256], process[16] = "";
	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", sight->task->pid, sight->fd);
	FILE *file = fopen(path, "re");
	if (file == NULL) return "a pidfd that can't be looked at";
	while (fgets(line, sizeof line, file) != NULL) sscanf(line, "Pid: %15s", process);
	fclose(file);
	if (strcmp(process, "-1") == 0) return harmless("pidfd of nobody");
	ino_t namespace = namespace_of(process, "pid");
	for (int i = 0; i < MAX_DEPTH && sight->task->namespaces[i] != 0; i++)
		if (namespace == sight->task->namespaces[i]) return harmless("pidfd of the container");
	return "a pidfd of another pid namespace";
}

static const char *judge_namespace(const struct sight *sight)
{
	char process[16];
	snprintf(process, sizeof process, "%d", sight->task->pid);
	for (size_t i = 0; i < sizeof NAMESPACES / sizeof *NAMESPACES; i++) {
		if (namespace_of(process, NAMESPACES[i]) == sight->place.inode) return harmless("namespace of the container");
		if (namespace_of("self", NAMESPACES[i]) == sight->place.inode) return "a namespace of the host";
	}
	/* The mappings of a mount: no process is in it. */
	if (starts(sight->link, "user:")) return harmless("user namespace of a mount");
	return "a namespace of others";
}

static const char *judge_anonymous(const struct sight *sight)
{
	static const char *const KNOWN[] = { "[eventfd]", "[eventpoll]", "[signalfd]", "[timerfd]", "inotify", "seccomp notify", "[fscontext]" };
	const char *kind = sight->link + strlen("anon_inode:");
	if (strcmp(kind, "[pidfd]") == 0) return judge_pidfd(sight);
	for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
		if (strcmp(kind, KNOWN[i]) == 0) return harmless(KNOWN[i]);
	return "of a kind that is not known to be harmless";
}

static const char *judge_directory(const struct sight *sight)
{
	struct place top;
	if (top_of(sight->path, &sight->root, &top) != 0) return "a directory that can't be looked at";
	if (sight->task->entered && same_place(&top, &sight->root)) return harmless("of the container's root");
	if (is_own_root(&top)) return "'..' leads to the root of the host";
	if (top.mount != sight->place.mount) return "'..' leads to mounts of others";
	if (file_system_of(sight->path) != CGROUP2_SUPER_MAGIC) return harmless("detached mount");
	if (!same_place(&top, &sight->place)) return "'..' leads to the cgroups above";
	return is_read_only(sight->path) ? harmless("cgroup, detached and read-only") : "a cgroup that can be written to";
}

/* In a container without a mount namespace, whose root directory is one of the host. */
static int is_below_root(const struct sight *sight)
{
	char path[64], root[PATH_SIZE];
	snprintf(path, sizeof path, "/proc/%d/root", sight->task->pid);
	ssize_t length = readlink(path, root, sizeof root - 1);
	return length > 1 && strncmp(sight->link, root, length) == 0 && sight->link[length] == '/';
}

/* Whatever has a path, whether it was opened or is only pointed at. */
static const char *judge_file(const struct sight *sight)
{
	static uint64_t of_host[MAX_MOUNTS];
	if (contains(sight->mounts, sight->mount_count, sight->place.mount)) return harmless("of the container's mounts");
	if (file_system_of(sight->path) == PROC_SUPER_MAGIC) return "a procfs that is not the container's";
	if (S_ISDIR(sight->place.mode)) return judge_directory(sight);
	if (contains(of_host, mounts_seen_by("self", of_host, MAX_MOUNTS), sight->place.mount))
		return is_below_root(sight) ? harmless("of the container's root") : "a file of the host";
	return harmless("file of a detached mount");
}

/* Returns what is wrong with it, or NULL. */
static const char *judge(const struct sight *sight)
{
	if (sight->fd >= 0 && is_handed(sight)) return harmless("handed over by the caller");
	if (starts(sight->link, "/memfd:")) return judge_memory(sight);
	if (starts(sight->link, "anon_inode:")) return judge_anonymous(sight);
	if (starts(sight->link, "pidfd:")) return judge_pidfd(sight);
	if (starts(sight->link, "pipe:[")) return harmless("pipe");
	if (starts(sight->link, "socket:[")) return judge_socket(sight);
	if (file_system_of(sight->path) == NSFS_MAGIC) return judge_namespace(sight);
	return judge_file(sight);
}

static void look(struct sight *sight, const char *name)
{
	snprintf(sight->path, sizeof sight->path, "/proc/%d/%s", sight->task->pid, name);
	ssize_t length = readlink(sight->path, sight->link, PATH_SIZE - 1);
	if (length < 0) return;
	sight->link[length] = 0;
	if (place_of(sight->path, &sight->place) != 0) {
		finding(sight->task, name, sight->link, "can't be looked at");
		return;
	}
	if (sight->fd >= 0) totals.descriptors++;
	const char *why = judge(sight);
	if (why != NULL) finding(sight->task, name, sight->link, why);
}

static void look_at_descriptors(struct sight *sight)
{
	char path[64], name[300];
	snprintf(path, sizeof path, "/proc/%d/fd", sight->task->pid);
	DIR *directory = opendir(path);
	if (directory == NULL) {
		if (errno != ENOENT) fail(path);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		if (entry->d_name[0] == '.') continue;
		snprintf(name, sizeof name, "fd/%s", entry->d_name);
		sight->fd = atoi(entry->d_name);
		look(sight, name);
	}
	closedir(directory);
}

void look_at(struct task *task)
{
	static uint64_t mounts[MAX_MOUNTS];
	static const char *const LINKS[] = { "root", "cwd", "exe" };
	struct sight sight = { .task = task, .fd = -1, .mounts = mounts };
	char path[64], process[16];
	snprintf(path, sizeof path, "/proc/%d/root", task->pid);
	snprintf(process, sizeof process, "%d", task->pid);
	if (place_of(path, &sight.root) != 0) return;
	/* As long as its root directory is the host's, no mount is the container's. */
	task->entered = !is_own_root(&sight.root);
	if (task->entered) sight.mount_count = mounts_seen_by(process, mounts, MAX_MOUNTS);
	totals.looks++;
	if (!task->counted) totals.in_sight++;
	task->counted = 1;
	for (int i = 0; i < 3; i++) look(&sight, LINKS[i]);
	look_at_descriptors(&sight);
}
