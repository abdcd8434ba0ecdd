import type { OptionDescription } from "./option.ts";
import { bundleOption, consoleSocketOption, noSubreaperOption, pidFileOption } from "./shared-options.ts";

/** Options that `checkpoint` and `restore` have in common. */
const common: readonly OptionDescription[] = [
  {
    name: "image-path",
    type: "string",
    description: "directory of criu's image files [default: checkpoint in the current directory]",
  },
  {
    name: "work-path",
    type: "string",
    description: "directory for criu's work and its log [default: that of the images]",
  },
  { name: "tcp-established", type: "boolean", description: "allow open TCP connections" },
  { name: "ext-unix-sk", type: "boolean", description: "allow Unix sockets whose other end is outside" },
  { name: "shell-job", type: "boolean", description: "allow a terminal that is the caller's" },
  { name: "lazy-pages", type: "boolean", description: "leave memory pages behind, and fetch them on demand" },
  { name: "file-locks", type: "boolean", description: "allow file locks" },
  {
    name: "manage-cgroups-mode",
    type: "string",
    description: "what to do with cgroups: soft, full, strict or ignore [default: soft]",
  },
  {
    name: "empty-ns",
    type: "list",
    description: "make a namespace without what is in it: network, as is always done",
  },
  { name: "auto-dedup", type: "boolean", description: "free the memory of images that is not needed twice" },
  {
    name: "network-lock",
    type: "string",
    description: "how the network is held up meanwhile: iptables, nftables or skip [default: criu's]",
  },
];

export const checkpointOptions: readonly OptionDescription[] = [
  ...common,
  {
    name: "parent-path",
    type: "string",
    description: "directory of an earlier pre-dump, relative to that of the images",
  },
  { name: "leave-running", type: "boolean", description: "let the container run on" },
  {
    name: "pre-dump",
    type: "boolean",
    description: "save the memory only, for a later checkpoint with --parent-path; the container runs on",
  },
  { name: "page-server", type: "string", description: "ADDRESS:PORT to send memory pages to" },
  {
    name: "status-fd",
    type: "string",
    description: "file descriptor that gets a NUL byte when lazy pages can be fetched",
  },
  {
    name: "tcp-skip-in-flight",
    type: "boolean",
    description: "leave out TCP connections that are still being opened",
  },
  { name: "link-remap", type: "boolean", description: "allow open files that are deleted" },
];

export const restoreOptions: readonly OptionDescription[] = [
  ...common,
  bundleOption,
  consoleSocketOption,
  { name: "detach", alias: "d", type: "boolean", description: "do not wait for the container's end" },
  pidFileOption,
  noSubreaperOption,
  { name: "no-pivot", type: "boolean", description: "accepted for compatibility, without effect" },
  { name: "tcp-close", type: "boolean", description: "close the TCP connections that were open" },
  {
    name: "lsm-profile",
    type: "string",
    description: "label for the processes: apparmor:NAME or selinux:LABEL",
  },
  { name: "lsm-mount-context", type: "string", description: "SELinux context of the mounts" },
];
