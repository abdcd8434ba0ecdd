import type { Deviation } from "./peers.ts";

/** Seen with crun 1.21. */
export const CRUN_MOUNTS: readonly Deviation[] = [
  {
    reason: "a mount that is no bind takes src-nofollow",
    from: "1.22",
    titles: ["mount with [src-nofollow]: error, nothing left"],
  },
  {
    reason: "the place of a link to a directory is made as a directory",
    titles: ["bind with src-nofollow of a link to a directory: the link itself, on a file"],
  },
  {
    reason: "src-nofollow and dest-nofollow came with 1.22",
    before: "1.22",
    titles: [
      "bind with dest-nofollow on a symbolic link: covers the link, not its target",
      "bind with src-nofollow and dest-nofollow of a link on a link: one covers the other",
      "bind with src-nofollow and dest-nofollow of a link on a link, in a user namespace: one covers the other",
    ],
  },
  {
    reason:
      "access times need MOUNT_ATTR__ATIME in attr_clr (mount_setattr(2)), which it does not give, or diratime clears nothing",
    titles: [
      "bind with diratime of a nodiratime source: cleared here, not below",
      "rbind with ratime: …",
      "rbind with rdiratime: …",
      "rbind with rnoatime: …",
      "rbind with rnodiratime: …",
      "rbind with rnostrictatime: …",
      "rbind with rrelatime: …",
      "rbind with rstrictatime: …",
      "tmpfs with options [nodiratime, diratime]: rw,relatime",
      "tmpfs with options [strictatime, nostrictatime]: rw,relatime",
    ],
  },
  {
    reason: "unknown to it, so handed to the file system as data, or an earlier option is never undone",
    titles: [
      "rbind with nosymfollow: set here, not below",
      "rbind with rnosymfollow: …",
      "rbind with rsymfollow: …",
      "rbind with rro, then rrw: the later option wins",
      "tmpfs with options [iversion…",
      "tmpfs with options [loud]: rw,relatime",
      "tmpfs with options [mand, nomand]: rw,relatime",
      "tmpfs with options [nosymfollow, symfollow]: rw,relatime",
      "tmpfs with options [silent]: rw,relatime",
    ],
  },
  {
    reason:
      "bind sources are copied as private mounts, and of several kinds of propagation not each is applied",
    titles: [
      "rbind of a shared tree with private: private, below master",
      "rbind of a shared tree with rshared: shared+master, below shared+master",
      "rbind of a shared tree with rslave: master, below master",
      "rbind of a shared tree with runbindable: unbindable, below unbindable",
      "rbind of a shared tree with shared: shared+master, below master",
      "rbind of a shared tree with slave: master, below master",
      "rbind of a shared tree with unbindable: unbindable, below master",
      "rbind with rprivate, then shared: applied in the order given",
      "id-mapped bind with rro, nosuid and rshared: the other options count too",
    ],
  },
  {
    reason:
      "the copy of the source comes from outside of the user namespace, where no flag is locked, and loses the flags",
    titles: [
      "user namespace, bind with …",
      "user namespace, rbind with another flag of a nodev source: nodev stays",
      "user namespace, rbind with another flag of a noexec source: noexec stays",
      "user namespace, rbind with another flag of a nosuid source: nosuid stays",
      "user namespace, rbind with another flag of a ro source: ro stays",
      "user namespace, bind of a read-only mount in another user's folder of mode 0700: its flags are locked",
    ],
  },
  {
    reason:
      "a link of an earlier mount is followed to the host; a bind mount of the rootfs's folder shows its mounts",
    titles: [
      "bind of a folder that holds the rootfs: without the container's own mounts",
      "bind of a symbolic link in an earlier mount: resolved in the container, never on the host",
    ],
  },
  {
    reason: "id-mapped sources are opened before there is any mount",
    titles: ["id-mapped bind of what an earlier mount shows: that, with the ids"],
  },
  {
    reason: "a path that is listed twice is mounted on twice",
    titles: ["maskedPaths and readonlyPaths with a path that is listed twice: one mount each"],
  },
  {
    reason: "a mount on / takes the place of the rootfs",
    from: "1.22",
    titles: ["a bind mount on /: error that names the destination, nothing left"],
  },
  {
    reason: "an id-mapped copy stays a peer of the host's mount",
    titles: ["id-mapped bind of a shared mount: mounts of the container don't reach the host"],
  },
  {
    sometimes: true,
    reason: "a mount that fails leaves the cgroup, unless the killed init is gone by then",
    titles: [
      "id-mapped bind of a file system that can't: error that names it and where it is mounted, nothing left",
      "mount with a malformed idmap=: error, nothing left",
      "mount with gidMappings alone: error, nothing left",
      "mount with idmap without mappings and user namespace: error, nothing left",
      "mount with mappings of no ids: error, nothing left",
      "mount with mappings that overlap: error, nothing left",
      "mount with ridmap without mappings and user namespace: error, nothing left",
      "mount with uidMappings alone: error, nothing left",
    ],
  },
  {
    reason: "holes are read as zeros, and fill the tmpfs",
    titles: [
      "tmpcopyup, a file with holes: they take no memory",
      "tmpcopyup, a file of 8 EiB without data: in bounded memory",
    ],
  },
  {
    reason: "a remount ignores mappings",
    titles: ["mount with mappings and a remount: error, nothing left"],
  },
  {
    reason: "features lists neither idmap nor ridmap",
    titles: ["features: id-mapped mounts and their options"],
  },
  {
    reason: "takes private with --no-pivot, and words that it does not know",
    titles: [
      "create --no-pivot with rootfsPropagation private: error, nothing left",
      "create --no-pivot with rootfsPropagation rprivate: error, nothing left",
      "rootfsPropagation of no known kind: error, nothing left",
    ],
  },
  {
    reason: "the mount of the rootfs is made private, whatever the others become",
    titles: [
      "rootfsPropagation rslave: the root mount has it",
      "rootfsPropagation rslave, a rootfs that is no mount point: …",
      "rootfsPropagation slave: the root mount has it",
      "rootfsPropagation slave, a rootfs that is no mount point: …",
    ],
  },
  {
    reason: "all mounts become unbindable before others are bound, which fails then",
    titles: [
      "rootfsPropagation runbindable: the root mount has it",
      "rootfsPropagation runbindable, binds of a shared tree: …",
    ],
  },
  {
    reason:
      "the propagation of a bind mount is given to those below it as well, and a recursive one of the root overrides it",
    titles: [
      "rootfsPropagation private, binds of a shared tree: …",
      "rootfsPropagation rprivate, binds of a shared tree: …",
      "rootfsPropagation rshared, binds of a shared tree: …",
      "rootfsPropagation rslave, binds of a shared tree: …",
      "rootfsPropagation shared, binds of a shared tree: …",
      "rootfsPropagation slave, binds of a shared tree: …",
      "rootfsPropagation unbindable, binds of a shared tree: …",
    ],
  },
  {
    reason: "anything may be bound on /proc and below it",
    titles: [
      "bind inside /proc: error, nothing left",
      "bind of a plain folder on /proc: error, nothing left",
    ],
  },
  {
    reason: "defaults of its own: a mode of a tmpfs; the mounts below the host's /sys stay writable",
    titles: [
      "mount without options and source: nothing beyond the defaults of the kernel",
      "user namespace, the host's network and sysfs with ro: the host's /sys, read-only throughout",
    ],
  },
];

/** Seen with Debian's runc 1.1.15 and 1.3.6. */
export const RUNC_MOUNTS: readonly Deviation[] = [
  {
    reason: "options of crun, which it hands on as data of the bind mount",
    titles: [
      "bind with copy-symlink of a symbolic link: made anew, no mount",
      "rbind with copy-symlink of a symbolic link: made anew, no mount",
      "bind with copy-symlink that leads to nothing: made anew",
      "bind with copy-symlink into a tmpfs of the container: made there",
      "bind with dest-nofollow on a symbolic link: covers the link, not its target",
      "bind with src-nofollow and dest-nofollow of a link on a link: one covers the other",
      "bind with src-nofollow and dest-nofollow of a link on a link, in a user namespace: one covers the other",
      "bind with src-nofollow of a link to a directory: the link itself, on a file",
    ],
  },
  {
    reason: "options of crun, which it hands on as data of the bind mount",
    before: "1.3",
    titles: [
      "bind with copy-symlink, another link is there: error, nothing left",
      "bind with copy-symlink, a file is there: error, nothing left",
    ],
  },
  {
    reason: "an option that is none of a bind mount's is an error",
    from: "1.3",
    titles: [
      "bind mount with options [bind, defaults]: applied to this mount",
      "bind mount with options of tmpfs: they are no reason to fail",
      "bind with copy-symlink of a file: mounted",
      "bind with copy-symlink, the same link is there: fine",
    ],
  },
  {
    reason:
      "in a user namespace with other mappings the source can't be cloned; only binds have mappings, and none of crun's options",
    titles: [
      "features: id-mapped mounts and their options",
      "idmap=uids=@…",
      "idmap=uids=…",
      "joined user namespace and idmap without mappings: those of the namespace",
      "new tmpfs with mappings: files on it belong to the mapped ids",
      "user namespace and a mount with mappings of its own: those",
      "user namespace and several mounts with the same mappings: each has them",
    ],
  },
  {
    reason: "mappings of mounts came with 1.2; 1.1 ignores them",
    before: "1.2",
    titles: [
      "id-mapped bind of a file system that can't: error that names it and where it is mounted, nothing left",
      "id-mapped bind with rro, nosuid and rshared: the other options count too",
      "mount with a malformed idmap=: error, nothing left",
      "mount with gidMappings alone: error, nothing left",
      "mount with idmap without mappings and user namespace: error, nothing left",
      "mount with mappings of no ids: error, nothing left",
      "mount with mappings that overlap: error, nothing left",
      "mount with mappings: new files belong to the ids on disk",
      "mount with ridmap without mappings and user namespace: error, nothing left",
      "mount with uidMappings alone: error, nothing left",
      "mount with uidMappings, gidMappings and …",
      "rbind with idmap: …",
      "rbind with ridmap: …",
      "user namespace and rbind with …",
    ],
  },
  {
    reason:
      "a link of an earlier mount is followed to the host; a bind mount of the rootfs's folder shows its mounts",
    titles: [
      "bind of a folder that holds the rootfs: without the container's own mounts",
      "bind of a symbolic link in an earlier mount: resolved in the container, never on the host",
    ],
  },
  {
    reason: "a path that is listed twice is mounted on twice",
    titles: ["maskedPaths and readonlyPaths with a path that is listed twice: one mount each"],
  },
  {
    reason: "a mount on / takes the place of the rootfs, before the fixes of CVE-2025-52881",
    before: "1.2.8",
    titles: ["a bind mount on /: error that names the destination, nothing left"],
  },
  {
    reason: "root.path must not be a symbolic link",
    titles: ["bind of what an earlier mount shows, root.path a symbolic link: what is mounted"],
  },
  {
    reason: "in a user namespace 1.1 opens the sources before there is any mount",
    before: "1.2",
    titles: [
      "bind of a path that an earlier mount hides, user namespace: error that names it, nothing left",
      "bind of what an earlier mount shows (a file), user namespace: that, and not the host's rootfs",
      "bind of what an earlier mount shows (a folder of a volume), user namespace: that, and not the host's rootfs",
      "bind of what an earlier mount shows (a tmpfs, with bind), user namespace: that, and not the host's rootfs",
      "bind of what an earlier mount shows (a tmpfs, with rbind), user namespace: that, and not the host's rootfs",
      "bind of what an earlier mount shows (a volume), user namespace: that, and not the host's rootfs",
      "bind of what an earlier mount shows (a volume, and onto it), user namespace: that, and not the host's rootfs",
      "bind of what an earlier mount shows (a volume, written in another way), user namespace: that, and not the host's rootfs",
      "bind of what an earlier mount shows (below it, with rbind), user namespace: that, and not the host's rootfs",
      "bind of what an earlier mount shows (procfs), user namespace: that, and not the host's rootfs",
    ],
  },
  {
    reason: "mappings of mounts came with 1.2",
    before: "1.2",
    titles: ["id-mapped bind of what an earlier mount shows: that, with the ids"],
  },
  {
    reason: "a bind mount whose options only clear flags is not remounted in 1.1",
    before: "1.2",
    titles: [
      "bind with dev of a nodev source: …",
      "bind with exec of a noexec source: …",
      "bind with rw of a ro source: …",
      "bind with suid of a nosuid source: …",
      "bind with symfollow of a nosymfollow source: …",
      "user namespace, bind with dev of …",
      "user namespace, bind with exec of …",
      "user namespace, bind with rw of …",
      "user namespace, bind with suid of …",
    ],
  },
  {
    reason: "locked flags are kept since 1.2; in 1.1 the remount fails",
    before: "1.2",
    titles: [
      "user namespace, rbind with another flag of a nodev source: nodev stays",
      "user namespace, rbind with another flag of a noexec source: noexec stays",
      "user namespace, rbind with another flag of a nosuid source: nosuid stays",
    ],
  },
  {
    reason:
      "a recursive option that clears does not undo an earlier one that sets, and clears only half of the access times",
    before: "1.2",
    titles: [
      "rbind with ratime: …",
      "rbind with rnostrictatime: …",
      "rbind with rro, then rrw: the later option wins",
    ],
  },
  {
    reason:
      "the mount of the rootfs is made private, whatever the others become; its main branch makes it a slave",
    titles: [
      "rootfsPropagation rslave: the root mount has it",
      "rootfsPropagation rslave, a rootfs that is no mount point: …",
      "rootfsPropagation slave: the root mount has it",
      "rootfsPropagation slave, a rootfs that is no mount point: …",
    ],
  },
  {
    reason: "all mounts become unbindable before others, masks among them, are bound, which fails then",
    titles: [
      "rootfsPropagation runbindable: the root mount has it",
      "rootfsPropagation runbindable, binds of a shared tree: …",
    ],
  },
  {
    reason: "the propagation of the root mount itself came with 1.3.1",
    before: "1.3.1",
    titles: [
      "rootfsPropagation rshared: the root mount has it",
      "rootfsPropagation rshared, binds of a shared tree: …",
    ],
  },
  {
    reason: "rslave is set of all mounts again at the end; no longer on its main branch",
    from: "1.3.1",
    titles: ["rootfsPropagation rslave, binds of a shared tree: …"],
  },
  {
    reason:
      "acl is MS_POSIXACL in 1.1; a tmpfs gets a mode; sysfs is never replaced; /proc is needed; labels go to mount(2) without SELinux too",
    titles: [
      "mount without options and source: nothing beyond the defaults of the kernel",
      "mountLabel where SELinux is off: a container all the same, and a warning",
      "no mounts at all: the runtime adds none",
      "user namespace, the host's network and sysfs with ro: the host's /sys, read-only throughout",
    ],
  },
  {
    reason:
      "acl is MS_POSIXACL in 1.1; a tmpfs gets a mode; sysfs is never replaced; /proc is needed; labels go to mount(2) without SELinux too",
    before: "1.2",
    titles: [
      "tmpfs with acl: handed to the file system, which refuses it",
      "tmpfs with noacl: handed to the file system, which refuses it",
    ],
  },
  {
    reason: "holes are read as zeros, and fill the tmpfs",
    titles: [
      "tmpcopyup, a file with holes: they take no memory",
      "tmpcopyup, a file of 8 EiB without data: in bounded memory",
    ],
  },
  {
    reason: "copies by path, and neither fifos nor sockets",
    titles: [
      "tmpcopyup, folders in folders whose names are longer than a path: all of them are there",
      "tmpcopyup, fifo, socket, device and set-user-id program: type, mode and owner as they were",
    ],
  },
];
