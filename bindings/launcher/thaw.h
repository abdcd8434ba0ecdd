/*
 * Warm start: maps the memory of an engine that has started already, from an image that `runts warm` (src/freeze) has written. That takes a
 * fraction of the time of a start. Only launcher.c includes this file.
 *
 * An image is valid for one machine and boot: the C library has chosen functions by the processor's features, and addresses are fixed. If
 * anything does not match, thaw() returns, and the launcher executes the engine as if there were no image. That execve(2) undoes
 * everything that was done before: mappings, signal handlers, and descriptors, which are close-on-exec.
 *
 * The image has no properties of a process: pid, credentials, working directory, umask, signal mask, limits and descriptors stay those of this
 * process. The engine was stopped in a read(2), which now returns argv and the environment.
 */

enum { SYS_read = 0, SYS_mmap = 9, SYS_mprotect = 10, SYS_rt_sigaction = 13, SYS_sigaltstack = 131, SYS_arch_prctl = 158 };
enum { SYS_set_tid_address = 218, SYS_epoll_ctl = 233, SYS_set_robust_list = 273, SYS_epoll_create1 = 291 };
enum { SYS_rseq = 334, SYS_close_range = 436 };
enum { MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000, MAP_FIXED_NOREPLACE = 0x100000 };
enum { O_CLOEXEC = 02000000, O_NONBLOCK = 04000, F_DUPFD_CLOEXEC = 1030, CLOSE_RANGE_CLOEXEC = 4, EPOLL_CTL_ADD = 1 };
enum { ARCH_SET_FS = 0x1002, S_IFMT = 0170000, S_IFREG = 0100000 };
enum { AT_HWCAP = 16, AT_SECURE = 23, AT_HWCAP2 = 26, AT_SYSINFO_EHDR = 33, AT_MINSIGSTKSZ = 51, AUX_VALUES = 64 };

/* "runts" and the version of the format. */
static const u64 IMAGE_MAGIC = 0x0173746e7572ul;
enum { MAX_HEAD = 32 * 1024, MAX_FILES = 24, BOOT_ID = 36 };

/* The head of an image, followed by its tables and by the paths of the files. src/freeze/image.ts writes it, field by field. */
struct image {
	u64 magic, head_size, checksum, size, mtime, mtime_nsec;
	char boot_id[40];
	u64 hwcap, hwcap2, minsigstksz;
	u64 vdso;
	u64 rbx, rbp, r12, r13, r14, r15, rsp, rip, fs_base;
	u64 buffer, buffer_size;
	u64 tid, robust, robust_size, rseq, rseq_size, rseq_signature;
	u64 signal_stack[3];
	/* Number of entries of each table, in the order of the tables. */
	u64 files, segments, descriptors, signals, vdso_words, sealed;
};
struct image_file { u64 device, inode, size, mtime, mtime_nsec, path; };
/* Source of a segment: the image, no file, or the index of a file in the table. */
enum { FROM_IMAGE = -1, FROM_NOTHING = -2 };
struct image_segment { u64 address, length, offset; int protection, source; };
enum { EPOLL, EVENTFD, EPOLL_ENTRY };
struct image_descriptor { u32 kind, fd, target, events; u64 data; };
struct image_signal { u64 number, handler, flags, restorer, mask; };
/* Memory that becomes read-only once a word in it has been written. */
struct image_sealed { u64 address, length; int protection, spare; };

static union { struct image head; char bytes[MAX_HEAD]; u64 words[MAX_HEAD / 8]; } image;

static i64 syscall6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	i64 result;
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;
	register u64 r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
}

/* Tables follow each other without gaps: each starts where the one before it ends. */
static struct image_file *files_of_image(void) { return (struct image_file *)(&image.head + 1); }
static struct image_segment *segments_of_image(void) { return (struct image_segment *)(files_of_image() + image.head.files); }
static struct image_descriptor *descriptors_of_image(void) { return (struct image_descriptor *)(segments_of_image() + image.head.segments); }
static struct image_signal *signals_of_image(void) { return (struct image_signal *)(descriptors_of_image() + image.head.descriptors); }
static u64 *vdso_words_of_image(void) { return (u64 *)(signals_of_image() + image.head.signals); }
static struct image_sealed *sealed_of_image(void) { return (struct image_sealed *)(vdso_words_of_image() + image.head.vdso_words); }

/* FNV-1a over words, with the checksum field taken as 0. */
static u64 checksum_of(u64 words)
{
	u64 sum = 0xcbf29ce484222325ul;
	for (u64 i = 0; i < words; i++) sum = (sum ^ (&image.words[i] == &image.head.checksum ? 0 : image.words[i])) * 0x100000001b3ul;
	return sum;
}

/* Length of a text with its NUL. */
static u64 length_of(const char *text)
{
	u64 length = 0;
	while (text[length++]);
	return length;
}

/*
 * Whether all tables and paths lie within the head, so that nothing outside of it is read or written, whatever it contains. A path without a
 * directory is a file in this program's directory; `path` has room for its name.
 */
static int is_whole(void)
{
	struct image *head = &image.head;
	const u64 counts[] = { head->files, head->segments, head->descriptors, head->signals, head->vdso_words, head->sealed };
	for (u64 i = 0; i < sizeof counts / sizeof *counts; i++)
		if (counts[i] > MAX_HEAD) return 0;
	if ((char *)(sealed_of_image() + head->sealed) > image.bytes + head->head_size || image.bytes[head->head_size - 1]) return 0;
	if (head->files > MAX_FILES) return 0;
	for (u64 i = 0; i < head->files; i++) {
		u64 at = files_of_image()[i].path;
		if (at >= head->head_size || (image.bytes[at] != '/' && length_of(image.bytes + at) > LONGEST_NAME)) return 0;
	}
	for (u64 i = 0; i < head->segments; i++) {
		int source = segments_of_image()[i].source;
		if (source < FROM_NOTHING || source >= (int)head->files) return 0;
	}
	return 1;
}

/* Reads the head. Refuses an image that was truncated or changed since it was written, or that other users could have written. */
static int read_head(i64 fd)
{
	struct status status;
	if (!is_trusted(fd) || !stat_fd(fd, "", &status) || (status.mode & S_IFMT) != S_IFREG) return 0;
	i64 length = syscall4(SYS_pread64, fd, (u64)&image, sizeof image, 0);
	struct image *head = &image.head;
	if (length < (i64)sizeof *head || head->magic != IMAGE_MAGIC) return 0;
	if (head->head_size < sizeof *head || head->head_size > (u64)length || head->head_size % 8) return 0;
	if (checksum_of(head->head_size / 8) != head->checksum || !is_whole()) return 0;
	return head->size == status.size && head->mtime == status.mtime && head->mtime_nsec == status.mtime_nsec;
}

static int is_this_boot(void)
{
	char boot_id[BOOT_ID];
	i64 fd = syscall4(SYS_openat, AT_FDCWD, (u64)"/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0) return 0;
	i64 length = syscall4(SYS_read, fd, (u64)boot_id, BOOT_ID, 0);
	syscall4(SYS_close, fd, 0, 0, 0);
	if (length != BOOT_ID) return 0;
	for (int i = 0; i < BOOT_ID; i++)
		if (boot_id[i] != image.head.boot_id[i]) return 0;
	return 1;
}

/* Compares the auxiliary vector with the image's: getauxval(3). A privileged executable (AT_SECURE) starts cold. */
static int is_this_machine(const u64 *values)
{
	struct image *head = &image.head;
	if (values[AT_SECURE] || !values[AT_SYSINFO_EHDR] != !head->vdso) return 0;
	return values[AT_HWCAP] == head->hwcap && values[AT_HWCAP2] == head->hwcap2 && values[AT_MINSIGSTKSZ] == head->minsigstksz;
}

/*
 * Whether a file that the engine had mapped is unchanged, and writable by its owner only. The owner is not checked: in a user namespace that
 * doesn't map the host's root, nothing is known about the owner of the host's libraries.
 */
static int is_same_file(i64 fd, const struct image_file *file)
{
	struct status now;
	if (!stat_fd(fd, "", &now) || (now.mode & (S_IWGRP | S_IWOTH))) return 0;
	if (now.device != file->device || now.inode != file->inode || now.size != file->size) return 0;
	return now.mtime == file->mtime && now.mtime_nsec == file->mtime_nsec;
}

static void close_files(const i64 *fds, u64 count)
{
	for (u64 i = 0; i < count; i++) syscall4(SYS_close, fds[i], 0, 0, 0);
}

/*
 * Opens the files that the engine had mapped, all or none: a cold start may need the descriptors. Files of this installation are taken from
 * this program's directory, like the engine of a cold start: the image may be a copy from another installation, whose files other users can
 * write.
 */
static int open_files(char *directory_end, i64 *fds)
{
	struct image_file *file = files_of_image();
	for (u64 i = 0; i < image.head.files; i++, file++) {
		const char *name = image.bytes + file->path;
		if (*name != '/') {
			put_text(directory_end, name);
			name = path;
		}
		fds[i] = syscall4(SYS_openat, AT_FDCWD, (u64)name, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
		if (fds[i] >= 0 && is_same_file(fds[i], file)) continue;
		close_files(fds, i + 1);
		return 0;
	}
	return 1;
}

/*
 * Maps all segments. One from the image lies within a segment that was mapped before it, and replaces a part of that. All others must not
 * replace anything, such as this program, its stack or the vdso.
 */
static int map_segments(i64 fd, const i64 *fds)
{
	struct image_segment *segment = segments_of_image();
	for (u64 i = 0; i < image.head.segments; i++, segment++) {
		int source = segment->source;
		u64 flags = MAP_PRIVATE | MAP_NORESERVE | (source == FROM_IMAGE ? MAP_FIXED : MAP_FIXED_NOREPLACE);
		if (source == FROM_NOTHING) flags |= MAP_ANONYMOUS;
		i64 from = source == FROM_NOTHING ? -1 : source == FROM_IMAGE ? fd : fds[source];
		i64 result = syscall6(SYS_mmap, segment->address, segment->length, segment->protection, flags, from, segment->offset);
		if (result != (i64)segment->address) return 0;
	}
	return 1;
}

/* Gives a new descriptor the number that the engine knows; fails if the caller has a descriptor with that number. */
static int renumber(i64 made, u32 number)
{
	if (made < 0) return 0;
	i64 result = made == number ? made : syscall4(SYS_fcntl, made, F_DUPFD_CLOEXEC, number, 0);
	if (result != made) syscall4(SYS_close, made, 0, 0, 0);
	return result == number;
}

static int make_descriptors(void)
{
	struct image_descriptor *entry = descriptors_of_image();
	for (u64 i = 0; i < image.head.descriptors; i++, entry++) {
		if (entry->kind == EPOLL) {
			if (!renumber(syscall4(SYS_epoll_create1, O_CLOEXEC, 0, 0, 0), entry->fd)) return 0;
		} else if (entry->kind == EVENTFD) {
			if (!renumber(syscall4(SYS_eventfd2, 0, O_CLOEXEC | O_NONBLOCK, 0, 0), entry->fd)) return 0;
		} else {
			struct __attribute__((packed)) { u32 events; u64 data; } event = { entry->events, entry->data };
			if (syscall4(SYS_epoll_ctl, entry->fd, EPOLL_CTL_ADD, entry->target, (u64)&event) < 0) return 0;
		}
	}
	return 1;
}

/* Restores the kernel's state of the engine's only thread. */
static int restore_thread(void)
{
	struct image *head = &image.head;
	struct image_signal *signal = signals_of_image();
	/* This comes first: a signal handler may run as soon as it is installed, and uses the thread's variables. */
	if (syscall4(SYS_arch_prctl, ARCH_SET_FS, head->fs_base, 0, 0) < 0) return 0;
	for (u64 i = 0; i < head->signals; i++, signal++)
		if (syscall4(SYS_rt_sigaction, signal->number, (u64)&signal->handler, 0, 8) < 0) return 0;
	i64 tid = syscall4(SYS_set_tid_address, head->tid, 0, 0, 0);
	if (tid < 0) return 0;
	*(u32 *)head->tid = (u32)tid;
	if (syscall4(SYS_set_robust_list, head->robust, head->robust_size, 0, 0) < 0) return 0;
	if (head->rseq) {
		/* The state before registration: cpu_id is -1, and no critical section is running. */
		*(u32 *)(head->rseq + 4) = (u32)-1;
		*(u64 *)(head->rseq + 8) = 0;
		if (syscall4(SYS_rseq, head->rseq, head->rseq_size, 0, head->rseq_signature) < 0) return 0;
	}
	if (head->signal_stack[0] && syscall4(SYS_sigaltstack, (u64)head->signal_stack, 0, 0, 0) < 0) return 0;
	return 1;
}

/* The vdso has another address in each process: adjusts all words that point into it. */
static int move_vdso_words(u64 vdso)
{
	u64 *word = vdso_words_of_image();
	struct image_sealed *sealed = sealed_of_image();
	for (u64 i = 0; i < image.head.vdso_words; i++) *(u64 *)word[i] += vdso - image.head.vdso;
	for (u64 i = 0; i < image.head.sealed; i++, sealed++)
		if (syscall4(SYS_mprotect, sealed->address, sealed->length, (u64)sealed->protection, 0) < 0) return 0;
	return 1;
}

/* Raises the soft limit, as the engine does when it starts. No descriptor can have a number beyond the hard limit. */
static void raise_nofile(void)
{
	struct rlimit64 limit;
	if (syscall4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (u64)&limit) < 0 || limit.soft == limit.hard) return;
	limit.soft = limit.hard;
	syscall4(SYS_prlimit64, 0, RLIMIT_NOFILE, (u64)&limit, 0);
}

/* Size of the text that the engine reads: the number of arguments, the arguments, and the environment, each with its NUL. 0 if it doesn't fit. */
static u64 answer_size(char *const *argv)
{
	u64 size = sizeof(u32);
	for (; *argv; argv++) size += length_of(*argv);
	for (char **entry = environment; *entry; entry++) size += length_of(*entry);
	return size <= image.head.buffer_size ? size : 0;
}

static char *put_all(char *to, char *const *texts)
{
	for (; *texts; texts++) to = put_text(to, *texts) + 1;
	return to;
}

/*
 * Overwrites those parts of the caller's environment that the engine does not get. Without an execve(2) they would stay in this process's
 * memory, and in /proc/PID/environ, as long as the container runs in the foreground.
 */
static void forget_rest(char *const *caller)
{
	for (; *caller; caller++) {
		char **kept = environment;
		while (*kept && *kept != *caller) kept++;
		if (*kept) continue;
		for (char *text = *caller; *text; text++) *text = 0;
	}
}

__attribute__((noreturn)) static void jump(u64 read)
{
	__asm__ volatile(
		"mov %c[rbx](%[head]), %%rbx\n\tmov %c[rbp](%[head]), %%rbp\n\tmov %c[r12](%[head]), %%r12\n\tmov %c[r13](%[head]), %%r13\n\t"
		"mov %c[r14](%[head]), %%r14\n\tmov %c[r15](%[head]), %%r15\n\tmov %c[rsp](%[head]), %%rsp\n\tjmp *%c[rip](%[head])\n"
		:: [head] "D"(&image.head), "a"(read), [rbx] "i"(__builtin_offsetof(struct image, rbx)),
		[rbp] "i"(__builtin_offsetof(struct image, rbp)), [r12] "i"(__builtin_offsetof(struct image, r12)),
		[r13] "i"(__builtin_offsetof(struct image, r13)), [r14] "i"(__builtin_offsetof(struct image, r14)),
		[r15] "i"(__builtin_offsetof(struct image, r15)), [rsp] "i"(__builtin_offsetof(struct image, rsp)),
		[rip] "i"(__builtin_offsetof(struct image, rip)) : "memory");
	__builtin_unreachable();
}

static void thaw_from(i64 fd, char *directory_end, u64 argc, char *const *argv, const u64 *values)
{
	i64 fds[MAX_FILES];
	if (!read_head(fd) || !is_this_boot() || !is_this_machine(values)) return;
	u64 size = answer_size(argv);
	raise_nofile();
	if (!size || !open_files(directory_end, fds)) return;
	int is_mapped = map_segments(fd, fds);
	close_files(fds, image.head.files);
	if (!is_mapped) return;
	syscall4(SYS_close, fd, 0, 0, 0);
	if (!make_descriptors() || !move_vdso_words(values[AT_SYSINFO_EHDR]) || !restore_thread()) return;
	/* As the engine does when it starts: programs that it executes get only the descriptors that it gives them. */
	if (syscall4(SYS_close_range, FIRST_HANDED, ~0u, CLOSE_RANGE_CLOEXEC, 0) < 0) return;
	char *to = (char *)image.head.buffer;
	*(u32 *)to = (u32)argc;
	put_all(put_all(to + sizeof(u32), argv), environment);
	forget_rest(argv + argc + 1);
	jump(size);
}

/* Becomes the engine of the image in this program's directory, or returns. */
static void thaw(char *directory_end, u64 argc, char *const *argv, const u64 *auxiliary)
{
	u64 values[AUX_VALUES] = { 0 };
	for (; auxiliary[0]; auxiliary += 2)
		if (auxiliary[0] < AUX_VALUES) values[auxiliary[0]] = auxiliary[1];
	put_text(directory_end, "runts-warm");
	i64 fd = syscall4(SYS_openat, AT_FDCWD, (u64)path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0) return;
	thaw_from(fd, directory_end, argc, argv, values);
	syscall4(SYS_close, fd, 0, 0, 0);
}
