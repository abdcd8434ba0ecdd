// linux/socket.h, linux/net.h and asm-generic/socket.h, Linux 6.12; linux/if.h, linux/sockios.h.

// socket(2): families, types and flags
export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 0x1;
export const SOCK_DGRAM = 0x2;
export const SOCK_RAW = 0x3;
export const SOCK_SEQPACKET = 0x5;
export const SOCK_CLOEXEC = 0x80000;
export const SOCK_NONBLOCK = 0x800;

// getsockopt(2), setsockopt(2)
export const SOL_SOCKET = 1;
export const SO_TYPE = 3;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_PASSCRED = 16;
export const SO_PEERCRED = 17;
export const SO_RCVTIMEO = 20;
export const SO_SNDTIMEO = 21;
export const SO_DOMAIN = 39;
export const SO_PEERPIDFD = 77;

// sendmsg(2), recvmsg(2): flags
export const MSG_PEEK = 0x2;
export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_WAITALL = 0x100;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

// Ancillary data, unix(7); SCM_MAX_FD is the most descriptors of one message
export const SCM_RIGHTS = 1;
export const SCM_CREDENTIALS = 2;
export const SCM_MAX_FD = 253;

// shutdown(2)
export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

// netdevice(7): requests and flags for bringing an interface up
export const SIOCGIFFLAGS = 0x8913;
export const SIOCSIFFLAGS = 0x8914;
export const SIOCGIFINDEX = 0x8933;
export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_RUNNING = 0x40;
export const IFNAMSIZ = 16;
