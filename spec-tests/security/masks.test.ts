import { lstatSync, utimesSync } from "node:fs";
import { expect } from "vitest";
import type { Sandbox } from "../harness/sandbox.ts";
import { spec } from "../harness/spec.ts";

/** A bind-mounted device node is the host's own inode: a container that could change its mode or owner would change it on the host. */

const NULL = "/dev/null";

/** A modification time that no device has, in seconds since 1970. */
const LONG_AGO = 1;

/**
 * The parts of a status that the container tries to change. Owner and ctime are left out: crun changes them at each run with this file as
 * standard input.
 */
function statusOf(path: string): { mode: string; touched: boolean } {
  const { mode, mtimeMs } = lstatSync(path);
  return { mode: mode.toString(8), touched: mtimeMs === 1000 * LONG_AGO };
}

const UNTOUCHED = { mode: "20666", touched: false };

/** Tries chmod, chown and touch on each path. Mode and owner are those of the host, so that success leaves the machine usable. */
const TRY_ALL = [
  'for path in "$@"; do',
  '  [ -e "$path" ] || continue;',
  '  echo "$path" >>/tmp/tried;',
  `  chmod 666 "$path"; chown 0:0 "$path"; touch -d @${LONG_AGO} "$path";`,
  'done 2>&1 | sed "s/.*: //" | sort | uniq -c | sed "s/^ *//";',
  "wc -l </tmp/tried",
].join("\n");

function keepTimesOf(sandbox: Sandbox, path: string): void {
  const { atime, mtime } = lstatSync(path);
  sandbox.atEnd(() => {
    utimesSync(path, atime, mtime);
  });
}

spec(
  "run as root without a user namespace, chmod, chown and touch of masked files: EROFS, the host's /dev/null unchanged",
  "config-linux.md, Masked Paths; crun mounts them read-only",
  async (sandbox) => {
    keepTimesOf(sandbox, NULL);
    const container = sandbox.container((config) => {
      config.linux.maskedPaths = ["/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/etc/passwd"];
      config.process.args = ["sh", "-c", TRY_ALL, "sh", ...config.linux.maskedPaths];
      config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
    });
    const [refused, tried, ...others] = (await container.output()).trim().split("\n");
    expect(statusOf(NULL)).toEqual(UNTOUCHED);
    expect(Number(tried)).toBeGreaterThan(1);
    expect(refused).toBe(`${3 * Number(tried)} Read-only file system`);
    expect(others).toEqual([]);
  },
  {
    runc: "older than the fix of CVE-2025-31133: masks with the container's own node, which it may change",
  },
);

spec("run, a masked file: empty, and discards writes", "config-linux.md, Masked Paths", async (sandbox) => {
  const container = sandbox.shell(
    "cat /etc/passwd; echo lost >/etc/passwd && echo lost >>/etc/passwd && echo written",
    (config) => {
      config.linux.maskedPaths = ["/etc/passwd"];
    },
  );
  expect(await container.output()).toBe("written\n");
});

spec(
  "run as the host's root in a user namespace, chmod, chown and touch of default devices: EROFS, the host's devices unchanged",
  "config-linux.md, Default Devices",
  async (sandbox) => {
    const devices = ["null", "zero", "full", "random", "urandom", "tty"].map((name) => `/dev/${name}`);
    for (const device of devices) keepTimesOf(sandbox, device);
    const container = sandbox.container((config) => {
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 65_536 }];
      config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 65_536 }];
      config.process.args = [
        "sh",
        "-c",
        `${TRY_ALL}; echo lost >/dev/null && head -c 3 /dev/zero | wc -c`,
        "sh",
        ...devices,
      ];
      config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
    });
    expect(await container.output()).toBe("18 Read-only file system\n6\n3\n");
    expect(devices.map(statusOf)).toEqual(devices.map(() => UNTOUCHED));
  },
  {
    both: "the nodes of the host are bound without ro: the user that the mappings make their owner can change them",
  },
);
