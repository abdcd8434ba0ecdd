// linux/inotify.h, Linux 6.12.

// inotify_init1(2): flags
export const IN_CLOEXEC = 0x80000;
export const IN_NONBLOCK = 0x800;

// inotify_add_watch(2): events
export const IN_MODIFY = 0x2;
export const IN_OPEN = 0x20;
export const IN_DELETE_SELF = 0x400;
