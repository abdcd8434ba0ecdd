import type { Coverage } from "./rows.ts";

export const MOUNTS: Coverage = {
  "/mounts": [
    "mounts: in the listed order, later ones over earlier ones",
    "no mounts at all: the runtime adds none",
    "proc, sysfs, devpts, mqueue, shm and cgroup2 of the default config: right types",
    "create without a mount namespace: its mounts are the caller's, until delete",
  ],
  "/mounts/*/destination": [
    "mount with a relative destination: relative to /",
    "mount on /: error, nothing left",
    "mount target through a symlink out of the rootfs: stays inside",
    "{} on /proc: error, nothing left",
    "bind of a file on /proc/{}: allowed",
  ],
  "/mounts/*/source": [
    "bind mount with a relative source: relative to the bundle",
    "bind mount with a missing source: error, nothing left",
    "bind mount of a file: a missing target is made as a file",
  ],
  "/mounts/*/type": [
    "bind mount without a type: the option decides",
    "mount of type bind without the option: no bind, so an error, nothing left",
    "mount with an unknown file system type: error, nothing left",
    "mqueue: that of the container's ipc namespace",
    "cgroup mount with a cgroup namespace: its root is the container's cgroup",
    "cgroup mount without a cgroup namespace: the container's own cgroup only",
    "overlay: its options reach the file system",
    "sysfs over a symlink /sys in the rootfs: error, nothing left",
  ],
  "/mounts/*/options": [
    "mount without options and source: nothing beyond the defaults of the kernel",
    "tmpfs: size and mode reach the file system",
    "tmpfs with an option it does not know: error, nothing left",
    "bind with {} of crun: refused by name, nothing left",
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
    "bind with dev of a nodev source: cleared here, not below",
    "user namespace, bind with dev of a nodev source: error, nothing left",
  ],
  "/mounts/*/options/*=diratime": ["bind with diratime of a nodiratime source: cleared here, not below"],
  "/mounts/*/options/*=exec": ["bind with exec of a noexec source: cleared here, not below"],
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
  "/mounts/*/options/*=rw": ["bind with rw of a ro source: cleared here, not below"],
  "/mounts/*/options/*=suid": ["bind with suid of a nosuid source: cleared here, not below"],
  "/mounts/*/options/*=symfollow": ["bind with symfollow of a nosymfollow source: cleared here, not below"],
  "/mounts/*/options/*=tmpcopyup": [
    "tmpfs with tmpcopyup: the covered folder's files are in it",
    "tmpfs with tmpcopyup: folders, links, modes and owners as they were",
  ],
  "/mounts/*/options/*=idmap": [
    "user namespace and rbind with idmap without mappings: those of the container",
    "mount with idmap without mappings and user namespace: error, nothing left",
  ],
  "/mounts/*/options/*=ridmap": [
    "rbind with ridmap: the mount below shows 1007:2008",
    "user namespace and rbind with ridmap without mappings: those of the container",
  ],
  "/mounts/*/uidMappings": [
    "mount with uidMappings, gidMappings and {}: ids on disk appear mapped",
    "mount with uidMappings alone: error, nothing left",
    "mount with mappings of no ids: error, nothing left",
    "mount with mappings that overlap: error, nothing left",
  ],
  "/mounts/*/gidMappings": [
    "mount with uidMappings, gidMappings and {}: ids on disk appear mapped",
    "mount with gidMappings alone: error, nothing left",
  ],
};
