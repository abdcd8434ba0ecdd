/*
 * probe OPERATION ARGUMENT...: tries an operation on each argument, and prints `OPERATION ARGUMENT: ok` or the errno's name.
 * Paths name directories that have a file `file`, a directory `dir`, and a copy of this program, `program`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[4096];
static char other[4096];

static const char *in(char *buffer, const char *directory, const char *name) {
  snprintf(buffer, sizeof path, "%s/%s", directory, name);
  return buffer;
}

static int opened(int fd) { return fd < 0 ? -1 : close(fd); }

static int execute(const char *directory) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    execl(in(path, directory, "program"), "program", "nothing", NULL);
    _exit(errno);
  }
  waitpid(child, &status, 0);
  errno = WEXITSTATUS(status);
  return errno == 0 ? 0 : -1;
}

static int tcp(const char *port, int (*call)(int, const struct sockaddr *, socklen_t)) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return call(fd, (struct sockaddr *)&address, sizeof address);
}

/* Older versions of Node fill the name of an abstract socket up with NULs. */
static int abstract(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
  memcpy(address.sun_path + 1, name, strlen(name));
  int result = connect(fd, (struct sockaddr *)&address, length);
  if (result == 0 || errno != ECONNREFUSED) return result;
  return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static int device(const char *file) {
  int fd = open(file, O_RDONLY), count, result = ioctl(fd, FIONREAD, &count);
  return result == 0 || errno == ENOTTY || errno == EINVAL ? 0 : -1;
}

static int attempt(const char *operation, const char *argument) {
  const char *file = in(path, argument, "file"), *new = in(other, argument, "new");
#define IS(name) (strcmp(operation, name) == 0)
  if (IS("nothing")) return 0;
  if (IS("execute")) return execute(argument);
  if (IS("write_file")) return opened(open(file, O_WRONLY));
  if (IS("read_file")) return opened(open(file, O_RDONLY));
  if (IS("read_dir")) return opened(open(argument, O_RDONLY | O_DIRECTORY));
  if (IS("remove_dir")) return rmdir(in(path, argument, "dir"));
  if (IS("remove_file")) return unlink(file);
  if (IS("make_char")) return mknod(new, S_IFCHR | 0600, makedev(1, 3));
  if (IS("make_block")) return mknod(new, S_IFBLK | 0600, makedev(7, 0));
  if (IS("make_fifo")) return mknod(new, S_IFIFO | 0600, 0);
  if (IS("make_sock")) return mknod(new, S_IFSOCK | 0600, 0);
  if (IS("make_reg")) return opened(open(new, O_WRONLY | O_CREAT, 0600));
  if (IS("make_dir")) return mkdir(new, 0700);
  if (IS("make_sym")) return symlink("file", new);
  if (IS("refer")) return rename(file, in(other, argument, "dir/file"));
  if (IS("truncate")) return truncate(file, 0);
  if (IS("ioctl_dev")) return device(argument);
  if (IS("bind")) return tcp(argument, bind);
  if (IS("connect")) return tcp(argument, connect);
  if (IS("abstract_unix_socket")) return abstract(argument);
  if (IS("signal")) return kill(atoi(argument), SIGCONT);
  if (IS("trace")) return ptrace(PTRACE_ATTACH, atoi(argument), 0, 0);
  errno = ENOSYS;
  return -1;
}

int main(int count, char **words) {
  for (int index = 2; index < count; index++) {
    int result = attempt(words[1], words[index]);
    printf("%s %s: %s\n", words[1], words[index], result < 0 ? strerrorname_np(errno) : "ok");
  }
  return 0;
}
