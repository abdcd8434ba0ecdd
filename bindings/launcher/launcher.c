/*
 * The launcher: the program that users and engines execute as `runts`. It becomes the JavaScript engine, `runts-engine` in the same
 * directory. Before that it saves facts about the caller that the engine's start destroys, and removes everything by which the caller could
 * influence the engine.
 *
 * - The engine raises the soft RLIMIT_NOFILE to the hard one when it starts, before any JavaScript runs. A container whose config sets
 *   no such limit has to inherit the caller's. So the launcher passes it on as RUNTS_NOFILE=<soft>:<hard>.
 * - The engine opens its own descriptors and sets close-on-exec on those that it finds. Later nobody could tell which ones the caller
 *   has passed (sd_listen_fds(3), --preserve-fds). RUNTS_FDS=<count> gives the number of descriptors that are open from 3 on.
 * - Some of the descriptors of --preserve-fds may be closed: podman passes 9 and 40 with --preserve-fds 38. A file that the engine opens
 *   could get such a number and end up in the container. So each closed number gets an eventfd, which gives access to nothing, until the
 *   container's program closes it. RUNTS_GAPS=<first>-<last>,… lists these numbers, and RUNTS_FDS counts them as open.
 * - The engine, its allocator and the dynamic linker obey environment variables: BUN_*, JSC_*, NODE_*, MALLOC_*, LD_*. A privileged
 *   runtime must not let its caller, or a hook that calls it, decide what it loads. Only the variables that runts documents pass. ld.so(8)
 *   runs before the engine's main, so this is a separate program, linked with nothing. `runts sandbox --env NAME` passes a variable of the
 *   caller to the command: the engine gets it as RUNTS_ENV_NAME=value, a name that none of these obeys.
 * - The engine does not start in a working directory that was removed. containerd's shim is in one as soon as its pod's sandbox is deleted,
 *   and has to delete the other containers then. So the launcher leaves such a directory.
 * - The engine would need other code to verify the libraries that it loads, and loading that code takes longer than the libraries. So the
 *   launcher opens them, verifies that no other user could have written them, and passes them on: RUNTS_KOFFI=<fd>, RUNTS_KOFFI_CXX=<fd>.
 *   The engine reports a library that is not trusted (bindings/ffi/koffi.ts).
 *
 * If there is an image of an engine that has started already, `runts-warm`, the launcher becomes that instead (thaw.h), unless the
 * environment has RUNTS_COLD=1.
 *
 * Somebody may copy this one file elsewhere, as tests of podman do. A copy without an engine beside it executes /usr/lib/runts/runts, the
 * launcher of an installed package, which then does all of the above. Both have to be equal byte by byte, which means that they are of the
 * same version: scripts/build/product.mjs appends that to the image.
 *
 * argv stays as it is, including argv[0]. The launcher opens nothing else but /dev/null for closed standard streams, and it stays the same
 * process, so that LISTEN_PID (sd_listen_fds(3)) stays right. It is freestanding like the stub, without libc and heap, which saves some tenths
 * of a millisecond.
 */
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

#if defined(__x86_64__)
enum { SYS_write = 1, SYS_close = 3, SYS_execve = 59, SYS_exit_group = 231, SYS_fcntl = 72, SYS_getuid = 102, SYS_getcwd = 79, SYS_chdir = 80 };
enum { SYS_pread64 = 17, SYS_openat = 257, SYS_readlinkat = 267, SYS_eventfd2 = 290, SYS_dup3 = 292, SYS_prlimit64 = 302, SYS_statx = 332 };
#elif defined(__aarch64__)
enum { SYS_write = 64, SYS_close = 57, SYS_execve = 221, SYS_exit_group = 94, SYS_fcntl = 25, SYS_getuid = 174, SYS_getcwd = 17, SYS_chdir = 49 };
enum { SYS_pread64 = 67, SYS_openat = 56, SYS_readlinkat = 78, SYS_eventfd2 = 19, SYS_dup3 = 24, SYS_prlimit64 = 261, SYS_statx = 291 };
#else
#error "runts supports x86-64 and arm64"
#endif

enum { ENOENT = 2, EACCES = 13, AT_FDCWD = -100, RLIMIT_NOFILE = 7, F_DUPFD = 0, F_GETFD = 1, PATH_MAX = 4096 };
enum { O_RDONLY = 0, O_RDWR = 2, AT_EMPTY_PATH = 0x1000, STATX_BASIC_STATS = 0x7ff, S_IWGRP = 020, S_IWOTH = 02 };

struct rlimit64 { u64 soft, hard; };
/* struct statx, linux/stat.h */
struct status {
	u32 mask, block_size;
	u64 attributes;
	u32 links, uid, gid;
	u16 mode, spare;
	u64 inode, size, blocks, known_attributes, access[2], birth[2], change[2], mtime;
	u32 mtime_nsec, spare2;
	/* Both consist of the major number, then the minor one. */
	u64 device_of_node, device, rest[14];
};

/* Each is passed at most once: execve(2) takes duplicates, and getenv(3) and the engine might choose different ones. */
static const char *const passed[] = {
	"PATH=", "HOME=", "USER=", "LOGNAME=", "TERM=", "LANG=", "XDG_RUNTIME_DIR=", "DBUS_SESSION_BUS_ADDRESS=",
	"NOTIFY_SOCKET=", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "TRACEPARENT=", "TRACESTATE=", "RUNTS_COLD=",
};
enum { PASSED = sizeof passed / sizeof *passed };

/*
 * No crash reports and no telemetry. With TZ the engine does not read /etc/localtime; all times of runts are UTC. Code that runs once is not
 * worth compiling: without the JIT compiler and its threads a container takes a fifth less time. Huge pages for the heap
 * (MIMALLOC_ALLOW_THP) are not worth it either: clearing them takes `exec` a tenth longer than the page faults that they save.
 */
static char *const added[] = { "DO_NOT_TRACK=1", "BUN_ENABLE_CRASH_REPORTING=0", "TZ=UTC", "BUN_JSC_useJIT=0" };
enum { ADDED = sizeof added / sizeof *added };

/*
 * The first passed descriptor, the most descriptors among which gaps are filled, and the number that the engine must still be able to open.
 * The engine refuses more than that; src/container/caller/caller.ts has the message.
 */
enum { FIRST_HANDED = 3, MOST_HANDED = 1024, RESERVE = 64 };

static char path[PATH_MAX];
static char nofile[64];
static char fds[32];
/* In the worst case every other number is closed. */
static char gaps[sizeof "RUNTS_GAPS=" + MOST_HANDED / 2 * sizeof "1025-1025"];
static struct library { const char *file, *variable; char entry[32]; } libraries[] = {
	{ "koffi.node", "RUNTS_KOFFI=", "" },
	{ "koffi-cxx.so", "RUNTS_KOFFI_CXX=", "" },
};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };
/* The variables that `sandbox --env NAME` names, and all their texts. What does not fit is left out; src/sandbox/environment.ts has the message. */
enum { MOST_NAMED = 64 };
static char named[64 << 10];
static char *environment[PASSED + ADDED + LIBRARIES + MOST_NAMED + 4];
/* The limits of open files that this process was started with, and the descriptors that it has opened for the engine. */
static struct rlimit64 own_limit;
static u32 opened[MOST_HANDED + LIBRARIES];
static u64 opened_count;

static i64 syscall5(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
#if defined(__x86_64__)
	i64 result;
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;
	__asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return result;
#else
	register u64 x8 __asm__("x8") = nr;
	register u64 x0 __asm__("x0") = a;
	register u64 x1 __asm__("x1") = b;
	register u64 x2 __asm__("x2") = c;
	register u64 x3 __asm__("x3") = d;
	register u64 x4 __asm__("x4") = e;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return (i64)x0;
#endif
}

static i64 syscall4(u64 nr, u64 a, u64 b, u64 c, u64 d) { return syscall5(nr, a, b, c, d, 0); }

static u64 text_length(const char *text)
{
	u64 length = 0;
	while (text[length]) length++;
	return length;
}

static void say(const char *text) { syscall4(SYS_write, 2, (u64)text, text_length(text), 0); }

__attribute__((noreturn)) static void leave(const char *before, const char *about, const char *after)
{
	say("runts: ");
	say(before);
	say(about);
	say(after);
	for (;;) syscall4(SYS_exit_group, 1, 0, 0, 0);
}

static char *put_text(char *to, const char *text)
{
	while (*text) *to++ = *text++;
	*to = 0;
	return to;
}

static char *put_number(char *to, u64 number)
{
	char digits[21], *first = digits + 20;
	*first = 0;
	do *--first = '0' + number % 10;
	while (number /= 10);
	return put_text(to, first);
}

/* The text after the prefix, or 0 if it does not begin with that. */
static char *after(char *text, const char *prefix)
{
	while (*prefix)
		if (*text++ != *prefix++) return 0;
	return text;
}

/* 0 for a text that is not a number; for numbers above MOST_HANDED, any such number. */
static u64 number_of(const char *text)
{
	u64 number = 0;
	for (; *text; text++) {
		if (*text < '0' || *text > '9') return 0;
		if (number <= MOST_HANDED) number = number * 10 + (u64)(*text - '0');
	}
	return number;
}

/*
 * The number given to --preserve-fds, or the largest of several: only the engine knows which words are options. Filling more gaps than
 * needed does no harm.
 */
static u64 preserved_by(char *const *argv)
{
	u64 most = 0;
	for (; *argv; argv++) {
		char *rest = after(*argv, "-preserve-fds");
		if (!rest) rest = after(*argv, "--preserve-fds");
		if (!rest) continue;
		const char *value = *rest == '=' ? rest + 1 : *rest || !argv[1] ? "" : argv[1];
		u64 number = number_of(value);
		if (number > most) most = number;
	}
	return most;
}

/* The number of descriptors that the caller may pass, some of them closed. */
static u64 handed_by(char *const *argv)
{
	u64 preserved = preserved_by(argv);
	if (preserved == 0) return 0;
	for (char **entry = environment; *entry; entry++) {
		const char *sockets = after(*entry, "LISTEN_FDS=");
		if (sockets) return preserved + number_of(sockets);
	}
	return preserved;
}

static int is_open(u64 fd) { return syscall4(SYS_fcntl, fd, F_GETFD, 0, 0) >= 0; }

/*
 * Opens /dev/null for each standard stream that is closed, as Go's runtime does for runc. Otherwise a file that the engine opens gets its
 * number, and then the output of the command, or ends up in the container.
 */
static void open_standard_streams(void)
{
	for (u64 fd = 0; fd < FIRST_HANDED; fd++)
		if (!is_open(fd)) syscall4(SYS_openat, AT_FDCWD, (u64)"/dev/null", O_RDWR, 0);
}

/* A descriptor that gives access to nothing, with a number of at least `end` + RESERVE; negative if the limits don't allow that. */
static i64 open_filler(u64 end)
{
	i64 lowest = syscall4(SYS_eventfd2, 0, 0, 0, 0);
	if (lowest < 0) return lowest;
	i64 filler = syscall4(SYS_fcntl, lowest, F_DUPFD, end + RESERVE, 0);
	syscall4(SYS_close, lowest, 0, 0, 0);
	return filler;
}

/* Fills each closed number of the range with an eventfd, and writes RUNTS_GAPS; returns whether there is one. */
static int fill_gaps(u64 count)
{
	if (count == 0 || count > MOST_HANDED) return 0;
	u64 end = FIRST_HANDED + count;
	i64 filler = open_filler(end);
	if (filler < 0) return 0;
	char *first = put_text(gaps, "RUNTS_GAPS="), *to = first;
	for (u64 fd = FIRST_HANDED; fd < end; fd++) {
		if (is_open(fd)) continue;
		u64 last = fd;
		while (last + 1 < end && !is_open(last + 1)) last++;
		if (to > first) to = put_text(to, ",");
		to = put_number(put_text(put_number(to, fd), "-"), last);
		for (; fd <= last; fd++) {
			syscall4(SYS_dup3, filler, fd, 0, 0);
			opened[opened_count++] = (u32)fd;
		}
	}
	syscall4(SYS_close, filler, 0, 0, 0);
	return to > first;
}

/* Whether a word of the command line, or what follows `=` in it, is the name of this entry of the environment. */
static int is_named(const char *word, const char *entry)
{
	const char *name = entry;
	while (*word && *word == *name) word++, name++;
	if (!*word && *name == '=' && name > entry) return 1;
	while (*word && *word != '=') word++;
	return *word == '=' && is_named(word + 1, entry);
}

/*
 * Adds RUNTS_ENV_NAME for each variable that a word of `sandbox` names. Only the engine knows which words are options. Adding more
 * variables than needed does no harm.
 */
static char **put_named(char **to, char *const *argv, char *const *caller)
{
	int is_sandbox = 0;
	for (char *const *word = argv; *word; word++) is_sandbox |= after(*word, "sandbox") && !*after(*word, "sandbox");
	char *end = named, **last = to + MOST_NAMED;
	for (; is_sandbox && *caller && to < last; caller++) {
		char *const *word = argv;
		while (*word && !is_named(*word, *caller)) word++;
		if (!*word || text_length(*caller) >= (u64)(named + sizeof named - end) - sizeof "RUNTS_ENV_") continue;
		*to++ = end;
		end = put_text(put_text(end, "RUNTS_ENV_"), *caller) + 1;
		if (named + sizeof named - end <= (i64)sizeof "RUNTS_ENV_") break;
	}
	return to;
}

/* Writes the environment of the engine except the libraries; returns the place for those. */
static char **fill_environment(char *const *argv, char *const *caller)
{
	char **to = environment;
	for (int i = 0; i < PASSED; i++)
		for (char *const *entry = caller; *entry; entry++)
			if (after(*entry, passed[i])) {
				*to++ = *entry;
				break;
			}
	for (int i = 0; i < ADDED; i++) *to++ = added[i];
	to = put_named(to, argv, caller);
	if (fill_gaps(handed_by(argv))) *to++ = gaps;
	u64 open = 0;
	while (is_open(FIRST_HANDED + open)) open++;
	put_number(put_text(fds, "RUNTS_FDS="), open);
	*to++ = fds;
	if (syscall4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (u64)&own_limit) < 0) return to;
	put_number(put_text(put_number(put_text(nofile, "RUNTS_NOFILE="), own_limit.soft), ":"), own_limit.hard);
	*to++ = nofile;
	return to;
}

/* Longest name of a file in this program's directory, with its NUL. */
enum { LONGEST_NAME = sizeof "runts-engine" };

/*
 * Writes the directory of this executable to `path`; returns its end, where file names go. Symbolic links to the executable don't
 * matter.
 */
static char *find_directory(void)
{
	i64 length = syscall4(SYS_readlinkat, AT_FDCWD, (u64)"/proc/self/exe", (u64)path, sizeof path);
	if (length < 0) leave("cannot read ", "/proc/self/exe", "; is /proc mounted?\n");
	if (length > (i64)(sizeof path - LONGEST_NAME)) leave("the path of this program is too long", "", "\n");
	while (length > 0 && path[length - 1] != '/') length--;
	return path + length;
}

/* In a removed directory no relative path resolves. /proc/self/fdinfo has only numbers in it, so a relative path still fails there. */
static void leave_removed_directory(void)
{
	if (syscall4(SYS_getcwd, (u64)path, sizeof path, 0, 0) == -ENOENT) syscall4(SYS_chdir, (u64)"/proc/self/fdinfo", 0, 0, 0);
}

static int stat_fd(i64 fd, const char *name, struct status *status)
{
	return syscall5(SYS_statx, fd, (u64)name, fd < 0 ? 0 : AT_EMPTY_PATH, STATX_BASIC_STATS, (u64)status) == 0;
}

/*
 * Whether only root, the caller or the owner of this executable could have written a file. The executable's owner decides what runs anyway,
 * and may be the host's root in a user namespace that doesn't map it, such as rootless podman's.
 */
static int is_trusted(i64 fd)
{
	struct status file, executable;
	if (!stat_fd(fd, "", &file) || (file.mode & (S_IWGRP | S_IWOTH))) return 0;
	if (file.uid == 0 || file.uid == (u32)syscall4(SYS_getuid, 0, 0, 0, 0)) return 1;
	return stat_fd(AT_FDCWD, "/proc/self/exe", &executable) && file.uid == executable.uid;
}

/* Opens the trusted libraries for the engine, which inherits them and closes them once they are loaded. */
static void open_libraries(char *directory_end, char **to)
{
	for (int i = 0; i < LIBRARIES; i++) {
		struct library *library = &libraries[i];
		put_text(directory_end, library->file);
		i64 fd = syscall4(SYS_openat, AT_FDCWD, (u64)path, O_RDONLY, 0);
		if (fd < 0) continue;
		if (is_trusted(fd)) {
			put_number(put_text(library->entry, library->variable), fd);
			*to++ = library->entry;
			opened[opened_count++] = (u32)fd;
		} else {
			syscall4(SYS_close, fd, 0, 0, 0);
		}
	}
}

#if defined(__x86_64__)
#include "thaw.h"
#else
static void thaw(char *directory_end, u64 argc, char *const *argv, const u64 *auxiliary)
{
	(void)directory_end; (void)argc; (void)argv; (void)auxiliary;
}
#endif

/* The auxiliary vector, which the kernel puts after the environment: getauxval(3). */
static const u64 *auxiliary_of(char *const *caller)
{
	while (*caller) caller++;
	return (const u64 *)(caller + 1);
}

/* Whether the caller asks for a cold start. */
static int wants_cold(char *const *caller)
{
	for (; *caller; caller++) {
		const char *value = after(*caller, "RUNTS_COLD=");
		if (value && *value) return 1;
	}
	return 0;
}

#define INSTALLED_DIRECTORY "/usr/lib/runts"
static const char installed[] = INSTALLED_DIRECTORY "/runts";

/*
 * Whether nobody but root could have written a file. In a user namespace that doesn't map the host's root, all that is known of its owner is
 * that it looks like that of /usr/lib.
 */
static int is_of_root(const char *name)
{
	struct status file, parent;
	if (!stat_fd(AT_FDCWD, name, &file) || !stat_fd(AT_FDCWD, "/usr/lib", &parent)) return 0;
	return file.uid == parent.uid && !(file.mode & (S_IWGRP | S_IWOTH));
}

static int has_same_bytes(i64 one, i64 other)
{
	char bytes[2][512];
	for (u64 at = 0;; at += sizeof *bytes) {
		i64 length = syscall4(SYS_pread64, one, (u64)bytes[0], sizeof *bytes, at);
		if (syscall4(SYS_pread64, other, (u64)bytes[1], sizeof *bytes, at) != length || length < 0) return 0;
		if (length == 0) return 1;
		for (i64 i = 0; i < length; i++)
			if (bytes[0][i] != bytes[1][i]) return 0;
	}
}

static int is_copy_of_installed(void)
{
	i64 own = syscall4(SYS_openat, AT_FDCWD, (u64)"/proc/self/exe", O_RDONLY, 0);
	i64 other = syscall4(SYS_openat, AT_FDCWD, (u64)installed, O_RDONLY, 0);
	int same = own >= 0 && other >= 0 && has_same_bytes(own, other);
	if (own >= 0) syscall4(SYS_close, own, 0, 0, 0);
	if (other >= 0) syscall4(SYS_close, other, 0, 0, 0);
	return same;
}

/* Undoes what a further launcher would take for the caller's: descriptors, and the limit that thaw.h may have raised. */
static void undo(void)
{
	while (opened_count) syscall4(SYS_close, opened[--opened_count], 0, 0, 0);
	if (own_limit.hard) syscall4(SYS_prlimit64, 0, RLIMIT_NOFILE, (u64)&own_limit, 0);
}

/* Executes the installed launcher if this is a copy of it. Otherwise returns what to add to the error. */
static const char *become_installed(char *const *argv, char *const *caller)
{
	struct status own, other;
	if (!stat_fd(AT_FDCWD, installed, &other) || !stat_fd(AT_FDCWD, "/proc/self/exe", &own)) return "\n";
	/* The installed launcher itself would execute itself for ever. */
	if (own.device == other.device && own.inode == other.inode) return "\n";
	if (!is_of_root(INSTALLED_DIRECTORY) || !is_of_root(installed)) return ", and " INSTALLED_DIRECTORY " is not root's alone\n";
	if (!is_copy_of_installed()) return ", and the one in " INSTALLED_DIRECTORY " is of another version\n";
	undo();
	syscall4(SYS_execve, (u64)installed, (u64)argv, (u64)caller, 0);
	return ", and " INSTALLED_DIRECTORY "/runts can't be executed\n";
}

__attribute__((used, noreturn)) static void start(u64 *stack)
{
	char **argv = (char **)(stack + 1), **caller = argv + stack[0] + 1;
	open_standard_streams();
	char **to = fill_environment(argv, caller);
	leave_removed_directory();
	char *directory_end = find_directory();
	if (!wants_cold(caller)) thaw(directory_end, stack[0], argv, auxiliary_of(caller));
	open_libraries(directory_end, to);
	put_text(directory_end, "runts-engine");
	i64 result = syscall4(SYS_execve, (u64)path, (u64)argv, (u64)environment, 0);
	if (result == -ENOENT) leave(path, " is missing; it belongs beside this program", become_installed(argv, caller));
	if (result == -EACCES) leave("cannot execute ", path, ": permission denied\n");
	char reason[32];
	put_text(put_number(put_text(reason, ": errno "), -result), "\n");
	leave("cannot execute ", path, reason);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tmov x0, sp\n\tbl start\n");
#endif
