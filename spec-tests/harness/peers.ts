import { basename } from "node:path";
import { CRUN_BINDS, RUNC_BINDS } from "./peers-binds.ts";
import { CRUN_CGROUPS, RUNC_CGROUPS } from "./peers-cgroups.ts";
import { CRUN_COMMANDS, RUNC_COMMANDS } from "./peers-commands.ts";
import { CRUN } from "./peers-crun.ts";
import { CRUN_EXEC } from "./peers-crun-exec.ts";
import { CRUN_ENGINES, RUNC_ENGINES } from "./peers-engines.ts";
import { CRUN_MOUNTS, RUNC_MOUNTS } from "./peers-mounts.ts";
import { CRUN_NETDEV, RUNC_NETDEV } from "./peers-netdev.ts";
import { CRUN_PROCESS, RUNC_PROCESS } from "./peers-process.ts";
import { CRUN_ROOTLESS, RUNC_ROOTLESS } from "./peers-rootless.ts";
import { RUNC } from "./peers-runc.ts";
import { CRUN_SECCOMP, RUNC_SECCOMP } from "./peers-seccomp.ts";
import { CRUN_SECURITY, RUNC_SECURITY } from "./peers-security.ts";
import { CRUN_SYSTEMD, RUNC_SYSTEMD } from "./peers-systemd.ts";
import { CRUN_UPDATE, RUNC_UPDATE } from "./peers-update.ts";
import { compareVersions, versionOf } from "./runtime-version.ts";

/** Where a peer is known to differ from what a test requires, and why that does not make the test wrong. */
export interface Deviation {
  readonly reason: string;
  /** Only now and then: a race. */
  readonly sometimes?: true;
  /** The first version that differs, as in 1.28, where an older one does not. */
  readonly from?: string;
  /** The first version that does not differ any more. */
  readonly before?: string;
  /** Titles of tests; one that ends in … stands for all that begin so. */
  readonly titles: readonly string[];
}

export const PEERS: Readonly<Record<string, readonly Deviation[]>> = {
  crun: [
    ...CRUN,
    ...CRUN_EXEC,
    ...CRUN_UPDATE,
    ...CRUN_CGROUPS,
    ...CRUN_COMMANDS,
    ...CRUN_NETDEV,
    ...CRUN_PROCESS,
    ...CRUN_MOUNTS,
    ...CRUN_BINDS,
    ...CRUN_SYSTEMD,
    ...CRUN_SECCOMP,
    ...CRUN_ROOTLESS,
    ...CRUN_SECURITY,
    ...CRUN_ENGINES,
  ],
  runc: [
    ...RUNC,
    ...RUNC_UPDATE,
    ...RUNC_CGROUPS,
    ...RUNC_COMMANDS,
    ...RUNC_NETDEV,
    ...RUNC_PROCESS,
    ...RUNC_MOUNTS,
    ...RUNC_BINDS,
    ...RUNC_SYSTEMD,
    ...RUNC_SECCOMP,
    ...RUNC_ROOTLESS,
    ...RUNC_SECURITY,
    ...RUNC_ENGINES,
  ],
};

/** The known deviation of the runtime at `path` in the test with this title. */
export function deviation(path: string, title: string): Deviation | undefined {
  return PEERS[basename(path)]?.find(
    (entry) => entry.titles.some((pattern) => matches(pattern, title)) && concerns(entry, path),
  );
}

function concerns({ from, before }: Deviation, path: string): boolean {
  if (from === undefined && before === undefined) return true;
  const version = versionOf(path);
  const isOld = from !== undefined && compareVersions(version, from) < 0;
  return !isOld && (before === undefined || compareVersions(version, before) < 0);
}

function matches(pattern: string, title: string): boolean {
  return pattern.endsWith("…") ? title.startsWith(pattern.slice(0, -1)) : pattern === title;
}
