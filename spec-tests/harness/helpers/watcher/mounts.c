/*
 * The mounts of a container that others see: whoever is in it can use a mount from its appearance on, so that whatever is taken
 * from it afterwards comes too late.
 */
#define _GNU_SOURCE
#include "watcher.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_MOUNTS = 1024, MAX_GROUPS = 4096, FIELD = 512 };

struct mount {
	long id;
	int was_there; /* when the watching began: changing it was asked for */
	int seen;
	char point[FIELD], options[FIELD], propagation[FIELD], super[FIELD];
};

static pid_t container;
static struct mount mounts[MAX_MOUNTS];
static int count;

/* Peer groups of the host, from before the command. */
static long groups[MAX_GROUPS];
static int group_count;

/* proc_pid_mountinfo(5): ID parent device root POINT OPTIONS PROPAGATION... - type source SUPER */
static int parse(char *line, struct mount *mount)
{
	memset(mount, 0, sizeof *mount);
	line[strcspn(line, "\n")] = 0;
	char *dash = strstr(line, " - ");
	if (dash == NULL) return 0;
	*dash = 0;
	int end = 0;
	if (sscanf(line, "%ld %*s %*s %*s %511s %511s%n", &mount->id, mount->point, mount->options, &end) != 3) return 0;
	snprintf(mount->propagation, FIELD, "%s", line + end);
	sscanf(dash + 3, "%*s %*s %511s", mount->super);
	return 1;
}

static void report_change(const struct task *task, const struct mount *mount, const char *what, const char *from, const char *to)
{
	totals.findings++;
	fprintf(report, "{\"finding\":\"mount\"");
	text("point", mount->point);
	text("what", what);
	text("from", from);
	text("to", to);
	text("call", call_name(task->call));
	fprintf(report, "}\n");
}

static long group_of(const struct mount *mount)
{
	const char *shared = strstr(mount->propagation, "shared:");
	return shared == NULL ? 0 : strtol(shared + strlen("shared:"), NULL, 10);
}

/* Who has mounted something on it meanwhile has mounted that on the host. What becomes shared because its place is has no such peers. */
static int was_peer_of_host(const struct mount *before, const struct mount *now)
{
	long group = group_of(before);
	if (group == 0 || group == group_of(now)) return 0;
	for (int i = 0; i < group_count; i++)
		if (groups[i] == group) return 1;
	return 0;
}

static void compare(const struct task *task, struct mount *before, const struct mount *now)
{
	if (!before->was_there) {
		if (strcmp(before->options, now->options) != 0)
			report_change(task, now, "options", before->options, now->options);
		if (strcmp(before->super, now->super) != 0)
			report_change(task, now, "file system", before->super, now->super);
		if (was_peer_of_host(before, now))
			report_change(task, now, "propagation", before->propagation, now->propagation);
	}
	int was_there = before->was_there;
	*before = *now;
	before->was_there = was_there;
}

static struct mount *find(long id)
{
	for (int i = 0; i < count; i++)
		if (mounts[i].id == id) return &mounts[i];
	return NULL;
}

static void read_mounts(const struct task *task)
{
	char path[64], *line = NULL;
	size_t size = 0;
	struct mount now;
	snprintf(path, sizeof path, "/proc/%d/mountinfo", container);
	FILE *file = fopen(path, "re");
	if (file == NULL) return;
	for (int i = 0; i < count; i++) mounts[i].seen = 0;
	while (getline(&line, &size, file) > 0) {
		if (!parse(line, &now)) continue;
		now.seen = 1;
		now.was_there = task == NULL;
		struct mount *before = find(now.id);
		if (before != NULL) {
			compare(task, before, &now);
		} else {
			if (count == MAX_MOUNTS) fail("too many mounts");
			mounts[count++] = now;
			if (task != NULL) totals.mounts++;
		}
	}
	free(line);
	fclose(file);
	/* An id may be given again. */
	for (int i = count - 1; i >= 0; i--)
		if (!mounts[i].seen) mounts[i] = mounts[--count];
}

static void read_groups(void)
{
	char *line = NULL;
	size_t size = 0;
	struct mount mount;
	FILE *file = fopen("/proc/self/mountinfo", "re");
	if (file == NULL) fail("/proc/self/mountinfo");
	while (getline(&line, &size, file) > 0) {
		if (!parse(line, &mount) || group_of(&mount) == 0) continue;
		if (group_count == MAX_GROUPS) fail("too many peer groups");
		groups[group_count++] = group_of(&mount);
	}
	free(line);
	fclose(file);
}

void watch_mounts_of(pid_t pid)
{
	container = pid;
	if (pid == 0) return;
	read_groups();
	read_mounts(NULL);
}

void compare_mounts(const struct task *task)
{
	if (container != 0) read_mounts(task);
}
