import type { Finding } from "./finding.ts";
import type { Measured, Slowness } from "./slow.ts";

/** One figure, and what it means. All times are milliseconds. */
interface Judged {
  readonly area: string;
  readonly subject: string;
  readonly measured: Measured;
  /** Beyond this, it is slow. */
  readonly limit: number;
  /** What is usual, in words. */
  readonly usual: string;
  /** What else the figure depends on, in words. */
  readonly about?: string;
  /** The setting that helps where it is slow; undefined if none does. */
  readonly fix?: string | undefined;
}

/** Judges each figure by what is usual. A fix is named only where the figure asks for it. */
export function judgeSlowness(slowness: Slowness): Finding[] {
  return figures(slowness).map(judge);
}

function figures(slowness: Slowness): Judged[] {
  const { isExpedited, tunnels, mounts, favorsMoves, stateDirectory, stateFileSystem } = slowness;
  const kernel = "kernel";
  const namespaces = "namespaces";
  const cgroups = "cgroups";
  return [
    {
      area: kernel,
      subject: "fork and execve",
      measured: slowness.spawn,
      limit: 10,
      usual: "below 2 ms",
      fix: "a slow or busy processor: the other times grow with it, whatever the settings",
    },
    {
      area: kernel,
      subject: "RCU grace period",
      measured: slowness.gracePeriod,
      limit: 50,
      usual: isExpedited ? "below 1 ms, as rcu_expedited is 1" : "up to 30 ms",
      about: isExpedited ? "" : "moves between cgroups, among others, wait for it",
      fix: isExpedited
        ? undefined
        : "echo 1 > /sys/kernel/rcu_expedited, or boot with rcupdate.rcu_expedited=1",
    },
    {
      area: namespaces,
      subject: "network namespace",
      measured: slowness.networkNamespace,
      limit: 20,
      usual: "below 5 ms",
      about: tunnels.length === 0 ? "" : `each gets ${tunnels.join(", ")}`,
      fix: tunnels.length === 0 ? undefined : "sysctl -w net.core.fb_tunnels_only_for_init_net=1",
    },
    {
      area: namespaces,
      subject: "mount namespace",
      measured: slowness.mountNamespace,
      limit: 10,
      usual: "below 2 ms",
      about: `${mounts} mounts are copied`,
      fix: mounts > MANY_MOUNTS ? `unmount what isn't needed: ${mounts} mounts are many` : undefined,
    },
    {
      area: cgroups,
      subject: "make a cgroup",
      measured: slowness.makeCgroup,
      limit: 10,
      usual: "below 1 ms",
    },
    {
      area: cgroups,
      subject: "remove a cgroup",
      measured: slowness.removeCgroup,
      limit: 10,
      usual: "below 1 ms",
    },
    {
      area: cgroups,
      subject: "clone into a cgroup",
      measured: slowness.cloneIntoCgroup,
      limit: 10,
      usual: "below 1 ms",
      about: "as runts does it",
    },
    {
      area: cgroups,
      subject: "move to a cgroup",
      measured: slowness.moveToCgroup,
      limit: 5,
      usual: favorsMoves
        ? "below 1 ms, as favordynmods is on"
        : "below 1 ms; without favordynmods, a grace period",
      about: "engines and other runtimes do it, runts does not",
      // "cgroup v2" in the kernel's admin guide, Mounting. A clone takes the same locks, and waits for no grace period.
      fix:
        favorsMoves || most(slowness.moveToCgroup) < 2 * most(slowness.cloneIntoCgroup)
          ? undefined
          : "mount -o remount,favordynmods /sys/fs/cgroup, from Linux 6.0 on; each fork and exit takes a little longer then",
    },
    {
      area: cgroups,
      subject: "device program",
      measured: slowness.deviceProgram,
      limit: 10,
      usual: "below 2 ms",
    },
    {
      area: "files",
      subject: "state directory",
      measured: slowness.stateFile,
      limit: 5,
      usual: "below 0.5 ms on tmpfs",
      about: `${stateDirectory} is ${stateFileSystem}`,
      fix:
        stateFileSystem === "tmpfs" ? undefined : "--root with a directory on a tmpfs, such as one in /run",
    },
  ];
}

/** The longest of the times; 0 without any. */
function most(measured: Measured): number {
  return "failure" in measured ? 0 : Math.max(...measured.milliseconds);
}

/** A host without containers has some 30 to 100. */
const MANY_MOUNTS = 1000;

function judge({ area, subject, measured, limit, usual, about = "", fix }: Judged): Finding {
  if ("failure" in measured)
    return { area, subject, verdict: "note", detail: `not measured: ${measured.failure}` };
  const sorted = measured.milliseconds.toSorted((one, other) => one - other);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const longest = sorted.at(-1) ?? 0;
  // The first of several moves waits, and those right after it don't: rcu_sync in kernel/rcu/sync.c. So the longest one counts.
  const isSlow = (subject === "move to a cgroup" ? longest : median) > limit;
  const time = `${shown(median)}, at most ${shown(longest)}`;
  const detail = `${time}; usual: ${usual}${about === "" ? "" : `; ${about}`}`;
  return {
    area,
    subject,
    verdict: isSlow ? "slow" : "good",
    detail,
    milliseconds: { median: rounded(median), most: rounded(longest) },
    ...(isSlow && fix !== undefined && { fix }),
  };
}

function shown(milliseconds: number): string {
  return `${milliseconds.toFixed(milliseconds < 10 ? 2 : 0)} ms`;
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
