import type { Deviation } from "./peers.ts";

const THREADS = ["kill KILL", "delete --force"].map(
  (command) => `${command}, shared pid namespace, the first thread of a process has ended: it goes too`,
);

/** Seen with Debian's crun 1.21 and 1.28 and runc 1.1.15: what is fixed in newer versions, and what nobody else promises. */
const BOTH: readonly Deviation[] = [
  {
    reason: "what is masked is looked for by its path, and what is not there then is left out",
    titles: ["create while the directories below procfs and sysfs are exchanged for others:…"],
  },
  {
    reason: "in a chroot, the root of the container's mount namespace stays the host's",
    titles: ["exec, create in a chroot:…", "exec, create --no-pivot in a chroot:…"],
  },
  {
    reason: "the process of exec keeps all capabilities of the caller until its last step",
    titles: ["exec, watched with CAP_SYS_PTRACE: has no capability that the host's root could be had by"],
  },
  {
    reason: "older than the fix of CVE-2025-31133: the /dev/null of the container is what masks",
    titles: ["create, maskedPaths with a /dev/null that is a symlink to…"],
  },
  {
    reason: "with fs.suid_dumpable 1, init can be traced from the change of its user on",
    titles: ["create and start with fs.suid_dumpable 1, as a user: …"],
  },
  {
    reason: "older than the fix of CVE-2026-41579 and CVE-2026-47766: /dev is followed",
    titles: ["create, /dev a symlink to a host folder…"],
  },
  {
    reason: "the nodes of the host are bound without ro: whom the mappings make their owner can change them",
    titles: ["run as the host's root in a user namespace, chmod, chown and touch of default devices:…"],
  },
  {
    reason: "the session keyring has a name that others may have used before",
    titles: ["run and exec, a user of the host has made keyrings that are called as the container's: …"],
  },
  {
    reason: "a process whose first thread has ended counts as ended",
    titles: ["state and kill, the first thread of init has ended: running, and killed"],
  },
  {
    reason: "the pid file that can't be written stays, empty",
    titles: ["create --pid-file on a file system that is full: error, nothing left"],
  },
  {
    reason: "waits for the writer of a fifo",
    titles: ["run, /etc/passwd of the image a fifo: no hang, HOME is /"],
  },
  {
    reason: "a device with the last id of 32 bits is root's",
    titles: ["devices, uid 4294967295: …", "devices, gid 4294967295: …"],
  },
  {
    sometimes: true,
    reason: "the kernel refuses the mapping, and the cgroup is left for a while",
    titles: [
      "user namespace, a mapping of the host's id 4294967295: …",
      "user namespace, a mapping beyond …",
    ],
  },
];

export const CRUN_SECURITY: readonly Deviation[] = [
  ...BOTH,
  {
    reason: "the /dev/null of the caller stays the standard stream",
    titles: ["exec as a user, /dev/null of the container is as it should be:…"],
  },
  {
    reason: "exec does not join the container's session keyring",
    titles: ["selinuxLabel: the session keyring has it, so that the program can use that, and exec"],
  },
  {
    reason: "it changes to the profile before no_new_privs is set, and not by the execve",
    titles: ["run by a runtime under a profile that no_new_privs keeps: error that says so"],
  },
  {
    reason: "cgroup.kill does not reach a process whose first thread has ended",
    titles: THREADS,
  },
  {
    reason:
      "standard streams become the user's, whatever they are; runc puts pipes between, where it stays in the foreground",
    titles: [
      "run as another user, a file of the host as standard input: …",
      "exec as another user, a file of the host as standard input: …",
    ],
  },
  {
    reason: "a standard stream becomes the user's, a device of the host's too",
    before: "1.28",
    titles: ["run as another user, a device of the host as a standard stream: …"],
  },
  {
    reason: "its process can be traced from the clone into a joined pid namespace on",
    sometimes: true,
    titles: ["create in the user and pid namespace of a container with CAP_SYS_PTRACE: …"],
  },
  {
    reason: "the last id of 32 bits leaves the process root, with its capabilities",
    titles: [
      "create, uid 4294967295: …",
      "create, gid 4294967295: …",
      "exec --process, uid 4294967295: …",
      "exec --process, gid 4294967295: …",
    ],
  },
  {
    reason: "the kernel refuses it, and the cgroup is left for a while",
    titles: [
      "create, additionalGids 4294967295: …",
      "user namespace, a mapping of the container's id 4294967295: …",
    ],
  },
  {
    reason: "what strtol(3) takes for a number passes, and the greatest id is refused",
    titles: [
      "exec --user 4294967294: that user, not root",
      'exec --user "-1": refused, never root',
      'exec --user "+1": refused, never root',
      'exec --user " 1": refused, never root',
    ],
  },
  {
    reason: "a user is read wrongly in 1.21: alone it is root, and what is no number passes (CVE-2026-30892)",
    before: "1.28",
    titles: [
      "exec --user 1: that user, not root",
      "exec --user 01: that user, not root",
      "exec --user 65534: that user, not root",
      'exec --user "4294967295": refused, never root',
      'exec --user "4294967296": refused, never root',
      'exec --user "1:": refused, never root',
      'exec --user ":1": refused, never root',
      'exec --user "": the user of the container, not root',
    ],
  },
  {
    reason: "anything may be mounted on and in /proc; labels are written to a verified procfs",
    titles: [
      "create, a volume on /proc: error, nothing left",
      "create, a tmpfs on /proc: error, nothing left",
      "create, a volume on a symlink to /proc: error, nothing left",
      "create, a volume below a symlink to /proc: error, nothing left",
      "create, a tmpfs inside of /proc: error, nothing left",
    ],
  },
  {
    reason: "strings end at their NUL byte",
    titles: [
      "create, a NUL byte in a mount's source: error, nothing left",
      "create, a NUL byte in a mount's destination: error, nothing left",
      "create, a NUL byte in a mount's options: error, nothing left",
    ],
  },
  {
    reason: "the cgroup of a create that fails after its making is not removed",
    titles: ["create with mappings of more than 64 KiB: error, and no namespace is left out"],
  },
  {
    reason: "cgroup files are written by their paths",
    titles: ["create, something else mounted over the cgroup: error, and nothing is written to it"],
  },
];

export const RUNC_SECURITY: readonly Deviation[] = [
  ...BOTH,
  {
    reason: "puts pipes between, where it stays in the foreground",
    titles: [
      "exec without capabilities, /dev/null of the container is a link to another user's file:…",
      "exec with CAP_DAC_OVERRIDE, /dev/null of the container is a link to another user's file:…",
      "exec, /dev/null of the container is a link to another device:…",
      "exec as a user, /dev/null of the container is as it should be:…",
    ],
  },
  {
    reason: "the tracer follows one thread, and the others wait for it until the test ends them",
    titles: [
      "exec --apparmor into a confined container with CAP_SYS_PTRACE: it reaches no file of the host",
      "exec --apparmor into an unconfined container with CAP_SYS_PTRACE: it reaches no file of the host",
    ],
  },
  {
    reason: "init runs the hooks, so that no process of the runtime is new",
    titles: [
      "start, startContainer hooks beside a process with CAP_SYS_PTRACE: it reaches no file of the host",
    ],
  },
  {
    reason: "with fs.suid_dumpable 1, init can be traced by the root of its user namespace",
    titles: ["create and start with fs.suid_dumpable 1, as the root of a user namespace: …"],
  },
  {
    reason: "cgroup.kill does not reach a process whose first thread has ended",
    sometimes: true,
    titles: THREADS,
  },
  {
    reason:
      "older than the fix of CVE-2025-31133: what masks is the container's own node, which it may change",
    titles: ["run as root without a user namespace, chmod, chown and touch of masked files:…"],
  },
  {
    reason: "the high bits of a device's numbers are cut off, which makes another device",
    before: "1.3",
    titles: ["devices, major 4097, …", "devices, minor 1048579, …"],
  },
  {
    reason: "older than the fix of CVE-2025-52881: sysctls are written to the container's /proc",
    titles: [
      "create with sysctls, /proc a procfs with a volume over /proc/sys: written to the kernel, not to the volume",
    ],
  },
  {
    reason: "older than the fix of CVE-2026-41579: /dev is looked up again for each device",
    sometimes: true,
    titles: ["create and start while /dev are swapped for symlinks: nothing on the host changes"],
  },
  {
    reason: "users above 2^31 are refused, a sign and what does not fit are accepted",
    titles: ['exec --user "+1": refused, never root', 'exec --user "4294967296": refused, never root'],
  },
  {
    reason: "users above 2^31 are refused, a sign and what does not fit are accepted",
    before: "1.3",
    titles: ["exec --user 4294967294: that user, not root"],
  },
  {
    reason: "an /etc/passwd that can't be read is an error",
    before: "1.3",
    titles: [
      "run, /etc/passwd of the image a symlink to…",
      "run, /etc/passwd of the image a folder: no hang, HOME is /",
    ],
  },
  {
    reason: "operations do not exclude each other",
    sometimes: true,
    titles: ["start and delete at once: one wins, the other says why not"],
  },
];
