/*
 * The stub: the only program of runts that enters a container. It runs system calls on request.
 *
 * It is freestanding: no libc, no heap, one thread. It reads programs from a stream socket whose descriptor number is argv[1]. A program
 * consists of a header, a list of operations, and the bytes that the operations point into. The stub runs the operations in
 * order, stops at the first error that an operation does not tolerate, and sends the results back. When the socket is closed, it exits: with
 * 127 if a quiet program has failed. `program.ts` documents each field and `encode.ts` writes them; change all of them together.
 *
 * All multi-byte fields are in the byte order of the machine.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

#if defined(__x86_64__)
enum { SYS_mmap = 9, SYS_munmap = 11, SYS_sendmsg = 46, SYS_recvmsg = 47, SYS_exit_group = 231 };
enum { SYS_rt_sigaction = 13, SYS_rt_sigprocmask = 14, SYS_clone = 56, SYS_wait4 = 61, SYS_kill = 62, SYS_rt_sigtimedwait = 128 };
enum { SYS_read = 0, SYS_close = 3, SYS_pipe2 = 293 };
#elif defined(__aarch64__)
enum { SYS_mmap = 222, SYS_munmap = 215, SYS_sendmsg = 211, SYS_recvmsg = 212, SYS_exit_group = 94 };
enum { SYS_rt_sigaction = 134, SYS_rt_sigprocmask = 135, SYS_clone = 220, SYS_wait4 = 260, SYS_kill = 129, SYS_rt_sigtimedwait = 137 };
enum { SYS_read = 63, SYS_close = 57, SYS_pipe2 = 59 };
#else
#error "runts supports x86-64 and arm64"
#endif

enum { SYS_close_range = 436, SYS_openat2 = 437 }; /* the same numbers on all architectures */
enum { O_CLOEXEC = 02000000 };
enum { SIGCHLD = 17, SIG_BLOCK = 0, SIG_SETMASK = 2, WNOHANG = 1 };
enum { MAX_ATTEMPTS = 1000 };
enum { EAGAIN = 11, EINVAL = 22, EPROTO = 71, ETIMEDOUT = 110, ECANCELED = 125 };
enum { MSG_WAITALL = 0x100, MSG_NOSIGNAL = 0x4000, MSG_CMSG_CLOEXEC = 0x40000000 };
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 32 };

enum {
	REGISTERS = 4096,
	NO_REGISTER = 0xffff,
	MAX_BODY = 16 << 20, /* larger than any argv and envp that execve(2) takes */
	MAX_FDS = 253,       /* SCM_MAX_FD, unix(7) */
	ANY_ERRNO = 255,
};
enum guard { ALWAYS, IF_NOT_NEGATIVE, IF_NEGATIVE, IF_ZERO, IF_POSITIVE };
enum kind { CONSTANT, ADDRESS, REGISTER, OUTPUT };
/* Operations of the stub itself have numbers above those of all system calls. */
enum { OP_STORE = 0x10000, OP_SET_CHANNEL, OP_COPY, OP_LOAD, OP_AWAIT, OP_INIT };
enum { MAX_SPINS = 1u << 30 }; /* tens of seconds */
enum { FLAG_QUIET = 1 }; /* no reply unless the program fails */

struct header {
	u32 body;      /* bytes that follow: operations, then data */
	u32 ops;       /* number of operations */
	u16 fd_count;  /* descriptors that come with the header */
	u16 fd_first;  /* register of the first of them */
	u32 flags;
	u32 output; /* bytes after the body, zero at first, that are sent back with the reply */
	u32 reserved;
};

struct op {
	u32 nr;
	u16 result; /* register, or NO_REGISTER */
	u16 guard_register;
	u8 guard;
	u8 tolerated[3]; /* errno values that are not failures, 0 for none */
	u16 kinds;       /* two bits for each argument */
	u16 reserved;
	u64 args[6];
};

struct reply {
	u32 ran;   /* number of operations reached, the failed one included */
	u32 error; /* errno of the operation that stopped the program, or 0 */
};

struct iovec { void *base; u64 length; };
struct msghdr {
	void *name; u32 name_length;
	struct iovec *iov; u64 iov_length;
	void *control; u64 control_length;
	u32 flags;
};
struct cmsg { u64 length; u32 level, type; u32 fds[MAX_FDS]; };

static i64 registers[REGISTERS];
static u32 channel;
/* The other end may send programs before it knows that an earlier one has failed. They rely on that one, so they are not run. */
static u32 failed;
/* Exit code for the end of the stream. */
static u32 exit_code;

static inline i64 syscall6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
#if defined(__x86_64__)
	i64 result;
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;
	register u64 r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
#else
	register u64 x8 __asm__("x8") = nr;
	register u64 x0 __asm__("x0") = a;
	register u64 x1 __asm__("x1") = b;
	register u64 x2 __asm__("x2") = c;
	register u64 x3 __asm__("x3") = d;
	register u64 x4 __asm__("x4") = e;
	register u64 x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return (i64)x0;
#endif
}

/* A seccomp filter may deny exit_group(2). The trap then ends the process, by a signal that the kernel forces. */
__attribute__((noreturn)) static void leave(int code)
{
	syscall6(SYS_exit_group, code, 0, 0, 0, 0, 0);
	__builtin_trap();
}

/* Reads a header and stores the descriptors that came with it in registers. Exits at the end of the stream. */
static void receive_header(struct header *header)
{
	static struct cmsg control;
	struct iovec iov = { header, sizeof *header };
	struct msghdr message = { 0, 0, &iov, 1, &control, sizeof control, 0 };
	i64 got = syscall6(SYS_recvmsg, channel, (u64)&message, MSG_WAITALL | MSG_CMSG_CLOEXEC, 0, 0, 0);
	if (got != sizeof *header) leave(got == 0 || exit_code ? exit_code : EPROTO);
	u64 fds = message.control_length < 16 ? 0 : (control.length - 16) / 4;
	if (fds != header->fd_count || header->fd_first + fds > REGISTERS) leave(EPROTO);
	for (u64 i = 0; i < fds; i++) registers[header->fd_first + i] = control.fds[i];
}

static void receive_body(u8 *body, u64 length)
{
	struct iovec iov = { body, length };
	struct msghdr message = { 0, 0, &iov, 1, 0, 0, 0 };
	while (iov.length > 0) {
		i64 got = syscall6(SYS_recvmsg, channel, (u64)&message, MSG_WAITALL, 0, 0, 0);
		if (got <= 0) leave(EPROTO);
		iov.base = (u8 *)iov.base + got;
		iov.length -= got;
	}
}

static void send_reply(struct reply *reply, u8 *body, const struct header *header)
{
	struct iovec iov[3] = {
		{ reply, sizeof *reply },
		{ body, reply->ran * sizeof(i64) },
		{ body + header->body, header->output },
	};
	struct msghdr message = { 0, 0, iov, 3, 0, 0, 0 };
	while (iov[0].length + iov[1].length + iov[2].length > 0) {
		i64 sent = syscall6(SYS_sendmsg, channel, (u64)&message, MSG_NOSIGNAL, 0, 0, 0);
		if (sent <= 0) leave(exit_code ? exit_code : EPROTO);
		for (int i = 0; i < 3; i++) {
			u64 part = (u64)sent < iov[i].length ? (u64)sent : iov[i].length;
			iov[i].base = (u8 *)iov[i].base + part;
			iov[i].length -= part;
			sent -= part;
		}
	}
}

static int guard_holds(const struct op *op)
{
	if (op->guard == ALWAYS) return 1;
	i64 value = registers[op->guard_register];
	if (op->guard == IF_NOT_NEGATIVE) return value >= 0;
	if (op->guard == IF_NEGATIVE) return value < 0;
	if (op->guard == IF_ZERO) return value == 0;
	return value > 0;
}

static int is_tolerated(const struct op *op, i64 result)
{
	for (int i = 0; i < 3; i++)
		if (op->tolerated[i] && (op->tolerated[i] == ANY_ERRNO || op->tolerated[i] == -result)) return 1;
	return 0;
}

/* Computes the values of the arguments. Returns 0 for a malformed operation. */
static int resolve_args(const struct op *op, u8 *body, const struct header *header, u64 args[6])
{
	if (op->result != NO_REGISTER && op->result >= REGISTERS) return 0;
	if (op->guard > IF_POSITIVE || (op->guard != ALWAYS && op->guard_register >= REGISTERS)) return 0;
	for (int i = 0; i < 6; i++) {
		u64 arg = op->args[i];
		switch ((op->kinds >> (2 * i)) & 3) {
		case CONSTANT: args[i] = arg; break;
		case ADDRESS:
			if (arg > header->body) return 0;
			args[i] = (u64)(body + arg);
			break;
		case REGISTER:
			if (arg >= REGISTERS) return 0;
			args[i] = registers[arg];
			break;
		default: /* OUTPUT */
			if (arg > header->output) return 0;
			args[i] = (u64)(body + header->body + arg);
		}
	}
	return 1;
}

/* Whether a value lies within the data. Written with differences, which don't overflow for any address. */
static int is_inside(u64 address, u64 width, const u8 *body, u64 length)
{
	return length >= width && address - (u64)body <= length - width;
}

/* Waits until another process has written a non-zero word. Spins, since a seccomp filter may answer any system call. */
static i64 await_word(const volatile u32 *word)
{
	for (u32 spins = 0; *word == 0; spins++) {
		if (spins == MAX_SPINS) return -ETIMEDOUT;
#if defined(__x86_64__)
		__asm__ volatile("pause");
#else
		__asm__ volatile("isb");
#endif
	}
	return 0;
}

/*
 * With RESOLVE_IN_ROOT or RESOLVE_BENEATH, openat2(2) fails with EAGAIN on ".." whenever anybody renames or mounts anything on the host
 * meanwhile, and says to try again. This does so without a pause: walking the path again is cheaper than any sleep.
 */
static i64 call_kernel(u64 nr, const u64 args[6])
{
	i64 result;
	int attempts = 0;
	do result = syscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	while (nr == SYS_openat2 && result == -EAGAIN && ++attempts < MAX_ATTEMPTS);
	return result;
}

/* The beginning of siginfo_t. The kernel writes all 128 bytes. */
struct siginfo { u32 signal, error; int code; u32 rest[29]; };
/* As rt_sigaction(2) takes it; all zero means SIG_DFL. */
struct sigaction { u64 handler, flags, restorer, mask; };

/* Reaps all children that have ended, and exits with the child's code once it is among them: as a shell does, with 128 + n for signal n. */
static void reap(i64 child)
{
	i64 pid;
	u32 status;
	while ((pid = syscall6(SYS_wait4, -1, (u64)&status, WNOHANG, 0, 0, 0)) > 0)
		if (pid == child) leave(status & 0x7f ? 128 + (status & 0x7f) : (status >> 8) & 0xff);
}

/*
 * Forks. The child returns, and goes on with the program. The parent is pid 1 of a pid namespace, and stays that: it reaps orphans, passes
 * signals on to the child, and exits when the child does. The kernel drops signals to pid 1 that it has no handler for, but not blocked ones:
 * pid_namespaces(7), and sig_ignored() in kernel/signal.c. What the kernel sends by itself (SI_KERNEL, as by Ctrl-C at a terminal) is not
 * passed on: the child gets that, too.
 *
 * The child waits on a pipe until the parent has closed all its descriptors. Its program may have the parent's uid, and could take the
 * parent's channel to the runtime by ptrace(2) or pidfd_getfd(2).
 */
static i64 become_init(void)
{
	u64 all = ~0ul, mask;
	struct sigaction dfl = { 0, 0, 0, 0 }, inherited;
	u32 ends[2];
	i64 error = syscall6(SYS_pipe2, (u64)ends, O_CLOEXEC, 0, 0, 0, 0);
	if (error < 0) return error;
	syscall6(SYS_rt_sigprocmask, SIG_BLOCK, (u64)&all, (u64)&mask, sizeof all, 0, 0);
	/* Where SIGCHLD is ignored, the kernel reaps children, and their exit codes are lost. */
	syscall6(SYS_rt_sigaction, SIGCHLD, (u64)&dfl, (u64)&inherited, sizeof all, 0, 0);
	i64 child = syscall6(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
	if (child <= 0) {
		u8 byte;
		syscall6(SYS_close, ends[1], 0, 0, 0, 0, 0);
		/* The end of the pipe comes when the parent closes the other write end. */
		if (child == 0) syscall6(SYS_read, ends[0], (u64)&byte, 1, 0, 0, 0);
		syscall6(SYS_close, ends[0], 0, 0, 0, 0, 0);
		syscall6(SYS_rt_sigaction, SIGCHLD, (u64)&inherited, 0, sizeof all, 0, 0);
		syscall6(SYS_rt_sigprocmask, SIG_SETMASK, (u64)&mask, 0, sizeof all, 0, 0);
		return child;
	}
	/*
	 * The end of the child's pipes, and of its channel, is not to wait for this process. The end that the child waits for is closed last:
	 * close_range(2) goes from the lowest to the highest. It is not 0, since the other end is lower.
	 */
	syscall6(SYS_close_range, 0, ends[1] - 1, 0, 0, 0, 0);
	syscall6(SYS_close_range, ends[1] + 1, ~0u, 0, 0, 0, 0);
	syscall6(SYS_close, ends[1], 0, 0, 0, 0, 0);
	for (;;) {
		struct siginfo info;
		i64 signal = syscall6(SYS_rt_sigtimedwait, (u64)&all, (u64)&info, 0, sizeof all, 0, 0);
		if (signal == SIGCHLD) reap(child);
		else if (signal > 0 && info.code <= 0) syscall6(SYS_kill, child, signal, 0, 0, 0, 0);
	}
}

static i64 run_op(const struct op *op, const u64 args[6], const u8 *body, u64 length)
{
	switch (op->nr) {
	case OP_STORE: /* address, value, width: writes a pointer or a result into a struct in the data */
		if ((args[2] != 4 && args[2] != 8) || !is_inside(args[0], args[2], body, length)) return -EINVAL;
		if (args[2] == 4) *(u32 *)args[0] = args[1];
		else *(u64 *)args[0] = args[1];
		return 0;
	case OP_SET_CHANNEL: channel = args[0]; return 0;
	case OP_COPY: return args[0];
	case OP_LOAD: /* address, width: reads a value that a system call has written into the data */
		if ((args[1] != 2 && args[1] != 4) || !is_inside(args[0], args[1], body, length)) return -EINVAL;
		return args[1] == 2 ? *(u16 *)args[0] : *(u32 *)args[0];
	case OP_AWAIT: return await_word((const volatile u32 *)args[0]);
	case OP_INIT: return become_init();
	default:
		if (op->nr > OP_STORE) return -EINVAL;
		return call_kernel(op->nr, args);
	}
}

/* Results overwrite the operations: result i ends before operation i does, and that has been run by then. */
static void run_program(u8 *body, const struct header *header, struct reply *reply)
{
	i64 *results = (i64 *)body;
	for (u32 i = 0; i < header->ops; i++) {
		const struct op *op = (const struct op *)body + i;
		u64 args[6];
		i64 result = 0;
		if (!resolve_args(op, body, header, args)) {
			result = -EINVAL;
			failed = 1;
		} else if (guard_holds(op)) {
			result = run_op(op, args, body, (u64)header->body + header->output);
			failed = result < 0 && result >= -4095 && !is_tolerated(op, result);
			if (op->result != NO_REGISTER) registers[op->result] = result;
		}
		results[i] = result;
		reply->ran = i + 1;
		if (failed) {
			reply->error = -result;
			return;
		}
	}
}

static void serve(void)
{
	for (;;) {
		struct header header;
		receive_header(&header);
		if (header.body > MAX_BODY || header.output > MAX_BODY || (u64)header.ops * sizeof(struct op) > header.body) leave(EPROTO);
		u64 size = (u64)header.body + header.output + 1;
		u8 *body = (u8 *)syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if ((i64)body < 0) leave(EPROTO);
		receive_body(body, header.body);
		struct reply reply;
		reply.ran = 0;
		reply.error = failed ? ECANCELED : 0;
		if (!failed) run_program(body, &header, &reply);
		if (reply.error && (header.flags & FLAG_QUIET)) {
			/*
			 * The other end may still send programs that find out why. 127 is a shell's code for a command that can't be executed. It is set
			 * before the reply, which can't be sent if the program has closed the channel.
			 */
			failed = 0;
			exit_code = 127;
		}
		if (reply.error || !(header.flags & FLAG_QUIET)) send_reply(&reply, body, &header);
		syscall6(SYS_munmap, (u64)body, size, 0, 0, 0, 0);
	}
}

__attribute__((used)) static void start(u64 *stack)
{
	if (stack[0] < 2) leave(EPROTO);
	for (const char *digit = (const char *)stack[2]; *digit; digit++) channel = channel * 10 + (*digit - '0');
	serve();
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
#else
__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tmov x0, sp\n\tbl start\n");
#endif
