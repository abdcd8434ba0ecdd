import type { Coverage } from "./rows.ts";

export const MOUNTS: Coverage = {
  "/mounts": [
    "mounts: in the listed order, later ones over earlier ones",
    "no mounts at all: the runtime adds none",
    "proc, sysfs, devpts, mqueue, shm and cgroup2 of the default config: right types",
    "create without a mount namespace: its mounts are in the caller's mount namespace until delete",
  ],
  "/mounts/*/destination": [
    "mount with a relative destination: relative to /",
    "a bind mount on /: error that names the destination, nothing left",
    "mount target through a symlink out of the rootfs: stays inside",
    "{} on /proc: error, nothing left",
    "bind of a file on /proc/{}: allowed",
  ],
  "/mounts/*/source": [
    "bind mount with a relative source: relative to the bundle",
    "bind mount with a missing source: error, nothing left",
    "bind mount of a file: a missing target is made as a file",
    "user namespace, bind of a folder in another user's folder of mode 0700: mounted",
    "bind from an earlier mount ({}): shows what was mounted, not the rootfs",
  ],
  "/mounts/*/type": [
    "bind mount without a type: the option decides",
    "mount of type bind without the option: not a bind mount, so an error, nothing left",
    "mount with an unknown file system type: error, nothing left",
    "mqueue: shows the queues of the container's ipc namespace",
    "cgroup mount with a cgroup namespace: its root is the container's cgroup",
    "cgroup mount without a cgroup namespace: the whole hierarchy, with the path of /proc/self/cgroup",
    "overlay: its options reach the file system",
    "sysfs over a symlink /sys in the rootfs: error, nothing left",
  ],
  "/mounts/*/options": [
    "mount without options and source: nothing beyond the defaults of the kernel",
    "tmpfs: size and mode reach the file system",
    "tmpfs with an option it does not know: error, nothing left",
    "bind with copy-symlink of a symbolic link: the link is copied, nothing is mounted",
    "bind with copy-symlink of a file: mounted",
    "bind with copy-symlink, {} is there: error, nothing left",
    "bind with dest-nofollow on a symbolic link: covers the link, not its target",
    "bind with src-nofollow of a link to a directory: the link itself is mounted on a file",
    "bind with src-nofollow and dest-nofollow of a link on a link{}: one covers the other",
    "rbind of a ro,nosuid,nodev,noexec source with [{}]: …",
    "user namespace, rbind of a {} source with [{}]: …",
    "mount with [{}, {}, {}]: error, nothing left",
  ],
  "/mounts/*/options/*={}": [
    "tmpfs with options [{}]: …",
    "bind mount with options [{}]: …",
    "rbind with {}: …",
    "rbind of a shared tree with {}: …",
  ],
  "/mounts/*/options/*=async": ["tmpfs with options [sync, async]: rw,relatime"],
  "/mounts/*/options/*=atime": ["tmpfs with options [noatime, atime]: rw,relatime"],
  "/mounts/*/options/*=dev": [
    "tmpfs with options [nodev, dev]: rw,relatime",
    "bind with dev of a nodev source: cleared on this mount, not on the one below",
    "user namespace, bind with dev of a nodev source: error, nothing left",
  ],
  "/mounts/*/options/*=diratime": [
    "bind with diratime of a nodiratime source: cleared on this mount, not on the one below",
  ],
  "/mounts/*/options/*=exec": [
    "bind with exec of a noexec source: cleared on this mount, not on the one below",
  ],
  "/mounts/*/options/*=mand": ["tmpfs with options [mand, nosuid]: rw,nosuid,relatime,mand"],
  "/mounts/*/options/*=noiversion": ["tmpfs with options [iversion, noiversion]: rw,relatime"],
  "/mounts/*/options/*=nolazytime": ["tmpfs with options [lazytime, nolazytime]: rw,relatime"],
  "/mounts/*/options/*=nomand": ["tmpfs with options [mand, nomand]: rw,relatime"],
  "/mounts/*/options/*=norelatime": ["tmpfs with options [relatime, norelatime]: rw,relatime"],
  "/mounts/*/options/*=nostrictatime": ["tmpfs with options [strictatime, nostrictatime]: rw,relatime"],
  "/mounts/*/options/*=rbind": [
    "rbind of a folder with a mount below: recursive as the option says",
    "rbind,ro of a folder with a mount below: recursive as the option says",
  ],
  "/mounts/*/options/*=remount": ["remount: changes the flags of an earlier mount"],
  "/mounts/*/options/*=rw": ["bind with rw of a ro source: cleared on this mount, not on the one below"],
  "/mounts/*/options/*=suid": [
    "bind with suid of a nosuid source: cleared on this mount, not on the one below",
  ],
  "/mounts/*/options/*=symfollow": [
    "bind with symfollow of a nosymfollow source: cleared on this mount, not on the one below",
  ],
  "/mounts/*/options/*=tmpcopyup": [
    "tmpfs with tmpcopyup: the covered folder's files are in it",
    "tmpfs with tmpcopyup: folders, links, modes and owners as they were",
  ],
  "/mounts/*/options/*=idmap": [
    "user namespace and rbind with idmap without mappings: the container's mappings apply",
    "mount with idmap without mappings and user namespace: error, nothing left",
  ],
  "/mounts/*/options/*=ridmap": [
    "rbind with ridmap: the mount below shows 1007:2008",
    "user namespace and rbind with ridmap without mappings: the container's mappings apply",
  ],
  "/mounts/*/uidMappings": [
    "mount with uidMappings, gidMappings and {}: ids on disk appear mapped",
    "mount with uidMappings alone: error, nothing left",
    "mount with mappings of size 0: error, nothing left",
    "mount with mappings that overlap: error, nothing left",
  ],
  "/mounts/*/gidMappings": [
    "mount with uidMappings, gidMappings and {}: ids on disk appear mapped",
    "mount with gidMappings alone: error, nothing left",
  ],
};
