/* Watches what a runtime brings into a container; main.c says how. */
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { MAX_DEPTH = 8, PATH_SIZE = 4200 };

/* One process of the runtime, by the rules of ptrace(2). */
struct task {
	pid_t pid;
	int calls;       /* stops at each system call: only the processes that can get into a container are that slow */
	int visible;     /* in another pid namespace than the watcher */
	int waits;       /* has waited for `start` */
	int counted;
	int entered;     /* its root directory is not the host's */
	long call;       /* the system call that it is in, or came out of last */
	const char *moment;
	ino_t namespaces[MAX_DEPTH]; /* its pid namespace and those above it, up to the watcher's, which is left out */
};

/* Where a path leads to, without opening it. */
struct place {
	mode_t mode;
	dev_t device;
	uint64_t inode;
	uint64_t mount;
};

/* What was looked at: a test fails when that is nothing. */
struct totals {
	long processes, in_sight, stops, looks, descriptors, mounts, findings;
};
extern struct totals totals;
extern FILE *report;

/* main.c */
void finding(const struct task *task, const char *what, const char *link, const char *why);
void text(const char *name, const char *value);
const char *call_name(long number);
__attribute__((noreturn)) void fail(const char *what);

/* places.c */
int place_of(const char *path, struct place *place);
int same_place(const struct place *one, const struct place *other);
int is_own_root(const struct place *place);
/* Where ".." leads to in the end, from a directory and in a process with that root directory. */
int top_of(const char *path, const struct place *root, struct place *top);
/* Reads the ids of the mounts that a process sees; "self" is the watcher. Returns their number. */
int mounts_seen_by(const char *process, uint64_t *ids, int max);
int contains(const uint64_t *ids, int count, uint64_t id);
long file_system_of(const char *path);
int is_read_only(const char *path);
ino_t namespace_of(const char *process, const char *type);

/* descriptors.c */
void remember_own(int keep);
void look_at(struct task *task);
void print_held(void);

/* mounts.c */
void watch_mounts_of(pid_t pid);
void compare_mounts(const struct task *task);
