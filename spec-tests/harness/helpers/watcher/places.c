/* Questions about paths, mounts and namespaces. Nothing is opened but with O_PATH: a descriptor may be a terminal or a fifo. */
#define _GNU_SOURCE
#include "watcher.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MAX_STEPS = 4096 };

static int place_at(int directory, const char *path, struct place *place)
{
	struct statx status;
	int flags = *path ? 0 : AT_EMPTY_PATH;
	if (statx(directory, path, flags | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MODE | STATX_INO | STATX_MNT_ID, &status) != 0)
		return -1;
	place->mode = status.stx_mode;
	place->device = makedev(status.stx_dev_major, status.stx_dev_minor);
	place->inode = status.stx_ino;
	place->mount = status.stx_mnt_id;
	return 0;
}

int place_of(const char *path, struct place *place) { return place_at(AT_FDCWD, path, place); }

int same_place(const struct place *one, const struct place *other)
{
	return one->device == other->device && one->inode == other->inode && one->mount == other->mount;
}

/* By the inode: the copy of the host's root in another mount namespace is as good as itself. */
int is_own_root(const struct place *place)
{
	struct place root;
	if (place_of("/", &root) != 0) fail("stat /");
	return place->device == root.device && place->inode == root.inode;
}

int top_of(const char *path, const struct place *root, struct place *top)
{
	int at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0) return -1;
	int known = place_at(at, "", top);
	for (int step = 0; known == 0 && !same_place(top, root) && step < MAX_STEPS; step++) {
		struct place above;
		int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
		if (up < 0) return -1;
		known = place_at(at, "", &above);
		if (known == 0 && same_place(&above, top)) break;
		*top = above;
	}
	close(at);
	return known;
}

int mounts_seen_by(const char *process, uint64_t *ids, int max)
{
	char path[64], *line = NULL;
	size_t size = 0;
	int count = 0;
	snprintf(path, sizeof path, "/proc/%s/mountinfo", process);
	FILE *file = fopen(path, "re");
	if (file == NULL) return 0;
	while (count < max && getline(&line, &size, file) > 0) ids[count++] = strtoull(line, NULL, 10);
	free(line);
	fclose(file);
	return count;
}

int contains(const uint64_t *ids, int count, uint64_t id)
{
	for (int i = 0; i < count; i++)
		if (ids[i] == id) return 1;
	return 0;
}

long file_system_of(const char *path)
{
	struct statfs status;
	int fd = open(path, O_PATH | O_CLOEXEC);
	int known = fd < 0 ? -1 : fstatfs(fd, &status);
	if (fd >= 0) close(fd);
	return known == 0 ? (long)status.f_type : 0;
}

int is_read_only(const char *path)
{
	struct statvfs status;
	int fd = open(path, O_PATH | O_CLOEXEC);
	int known = fd < 0 ? -1 : fstatvfs(fd, &status);
	if (fd >= 0) close(fd);
	return known == 0 && (status.f_flag & ST_RDONLY) != 0;
}

ino_t namespace_of(const char *process, const char *type)
{
	char path[64];
	struct stat status;
	snprintf(path, sizeof path, "/proc/%s/ns/%s", process, type);
	return stat(path, &status) == 0 ? status.st_ino : 0;
}
