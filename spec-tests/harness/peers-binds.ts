import type { Deviation } from "./peers.ts";

/** Flags of bind mounts. */
export const CRUN_BINDS: readonly Deviation[] = [
  {
    reason:
      "flags of the source go without an option that names one, too; none can be cleared again once ro is named",
    titles: [
      "rbind of a nosymfollow source with []: …",
      "rbind of a ro,nosuid,nodev,noexec source with []: …",
      "rbind of a ro,nosuid,nodev,noexec source with [defaults]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [rnosuid]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [ro,rw]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [rprivate]: …",
    ],
  },
  {
    reason: "with ro the source's flags stay",
    from: "1.28",
    titles: [
      "rbind of a nosymfollow source with [ro]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [ro]: …",
      "user namespace, rbind of a nosymfollow source with [ro]: …",
    ],
  },
  {
    reason: "diratime clears nothing, as in runc",
    titles: ["rbind of a noatime,nodiratime source with [diratime]: …"],
  },
  {
    reason: "a remount replaces all flags, as in runc",
    titles: ["remount with ro of a mount with nosuid,nodev,noexec: these stay"],
  },
  {
    reason:
      "the copy of the source comes from outside of the user namespace, where no flag is locked, and loses the flags",
    titles: [
      "user namespace, rbind of a noatime,nodiratime source with [noatime]: …",
      "user namespace, rbind of a nosuid,noexec source with [rprivate,rw]: …",
      "user namespace, rbind of a ro source with [exec]: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with []: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with [nosuid]: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with [relatime]: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with [rprivate]: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with [sync]: …",
    ],
  },
  {
    reason: "the same; since 1.28 nothing goes where ro is named",
    before: "1.28",
    titles: [
      "user namespace, id-mapped bind of a nosuid,nodev,noexec source with ro: these stay",
      "user namespace, rbind of a nosuid source with [ro,nodev]: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with [ro]: …",
    ],
  },
];

export const RUNC_BINDS: readonly Deviation[] = [
  {
    reason: "without an option that sets access times the kernel keeps nodiratime, whatever clears it",
    titles: [
      "bind with diratime of a nodiratime source: …",
      "rbind of a noatime,nodiratime source with [diratime]: …",
    ],
  },
  {
    reason: "defaults is handed on as data, which a bind mount takes none of since 1.2",
    from: "1.2",
    titles: ["rbind of a ro,nosuid,nodev,noexec source with [defaults]: …"],
  },
  {
    reason: "a remount is mount(2)'s, which replaces all flags",
    titles: ["remount with ro of a mount with nosuid,nodev,noexec: these stay"],
  },
  {
    reason: "of access times that are locked, those that are not named can't stay: an error",
    titles: ["user namespace, rbind of a noatime,nodiratime source with [noatime]: …"],
  },
  {
    reason: "a bind mount whose options only clear flags is not remounted in 1.1",
    before: "1.2",
    titles: [
      "rbind of a ro,nosuid,nodev,noexec source with [async]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [atime]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [exec]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [norelatime]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [ro,rw]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [rprivate,rw]: …",
      "rbind of a ro,nosuid,nodev,noexec source with [suid]: …",
    ],
  },
  {
    reason: "locked flags are kept since 1.2; in 1.1 the remount fails",
    before: "1.2",
    titles: [
      "user namespace, id-mapped bind of a nosuid,nodev,noexec source with ro: these stay",
      "user namespace, rbind of a nosuid source with [ro,nodev]: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with [nosuid]: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with [relatime]: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with [ro]: …",
      "user namespace, rbind of a ro,nosuid,nodev,noexec source with [sync]: …",
    ],
  },
];
